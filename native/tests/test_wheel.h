/* The wheel of deadlines, against a list that is searched. */

#include "engine/wheel.c"

enum { WHEEL_TIMERS = 300 };

typedef struct wheel_model {
	cwn_timer timer;
	uint64_t deadline; /* 0: not set */
} wheel_model;

static void
check_wheel_step(cwn_wheel *wheel, wheel_model *models, uint64_t now)
{
	cwn_timer *timer;
	uint64_t next = UINT64_MAX;
	size_t i;
	while ((timer = cwn_wheel_expire(wheel, now)) != NULL) {
		wheel_model *model = (wheel_model *)(void *)timer; /* its first member */
		CHECK(model->deadline != 0);
		CHECK(model->deadline <= now);
		CHECK(!cwn_timer_is_set(timer));
		model->deadline = 0;
	}
	for (i = 0; i < WHEEL_TIMERS; i++) {
		if (models[i].deadline != 0) {
			/* Late by less than a tick. */
			CHECK(models[i].deadline + CWN_TICK_MS > now);
			next = (models[i].deadline < next) ? models[i].deadline : next;
		}
		CHECK_EQUAL(models[i].deadline != 0, cwn_timer_is_set(&models[i].timer));
	}
	/* It asks to be looked at no later than the first is due, and not when none is. */
	if (next == UINT64_MAX) {
		CHECK_EQUAL(0, cwn_wheel_deadline(wheel));
	} else {
		CHECK(cwn_wheel_deadline(wheel) != 0);
		CHECK(cwn_wheel_deadline(wheel) < next + CWN_TICK_MS);
	}
}

static void
test_wheel(void)
{
	static cwn_wheel wheel;
	static wheel_model models[WHEEL_TIMERS];
	static const uint64_t starts[] = {0, 1, 3, 255, 256, 1023, 16384 * 4 - 1, 123456789};
	static const unsigned spans[] = {10, 300, 5000, 70000, 5000000};
	uint64_t seed = 12345;
	size_t s, i;
	unsigned round;
	for (s = 0; s < sizeof(starts) / sizeof(starts[0]); s++) {
		uint64_t now = starts[s];
		cwn_wheel_init(&wheel, now);
		memset(models, 0, sizeof(models));
		for (round = 0; round < 4000; round++) {
			wheel_model *model;
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			model = &models[(seed >> 33) % WHEEL_TIMERS];
			if ((seed >> 20) % 8 == 0) {
				model->deadline = 0;
			} else {
				model->deadline = now + 1 + (seed >> 40) % spans[(seed >> 8) % 5];
			}
			cwn_wheel_set(&wheel, &model->timer, model->deadline);
			now += (round % 16 == 0) ? (seed >> 45) % 900 : (seed >> 50) % 7;
			check_wheel_step(&wheel, models, now);
		}
		/* A long sleep: all are due. */
		now += 6000000;
		check_wheel_step(&wheel, models, now);
		for (i = 0; i < WHEEL_TIMERS; i++) {
			CHECK_EQUAL(0, models[i].deadline);
		}
	}
	/* A deadline that is over already is the next tick's; one for the next century is kept. */
	cwn_wheel_init(&wheel, 1000);
	memset(models, 0, sizeof(models));
	cwn_wheel_set(&wheel, &models[0].timer, 1);
	cwn_wheel_set(&wheel, &models[1].timer, 1000 + UINT64_C(3600000) * 24 * 365 * 100);
	CHECK(cwn_wheel_expire(&wheel, 1003) == NULL);
	CHECK(cwn_wheel_expire(&wheel, 1004) == &models[0].timer);
	CHECK(cwn_wheel_expire(&wheel, 1000 + UINT64_C(3600000) * 24 * 365) == NULL);
	CHECK(cwn_timer_is_set(&models[1].timer));
	/* Taking one out that is due already, and another of its slot. */
	cwn_wheel_init(&wheel, 0);
	memset(models, 0, sizeof(models));
	for (i = 0; i < 3; i++) {
		cwn_wheel_set(&wheel, &models[i].timer, 40);
	}
	CHECK(cwn_wheel_expire(&wheel, 60) == &models[0].timer);
	cwn_wheel_set(&wheel, &models[1].timer, 0);
	CHECK(cwn_wheel_deadline(&wheel) != 0);
	CHECK(cwn_wheel_expire(&wheel, 60) == &models[2].timer);
	CHECK(cwn_wheel_expire(&wheel, 60) == NULL);
	CHECK_EQUAL(0, cwn_wheel_deadline(&wheel));
}
