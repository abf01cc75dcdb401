/* Deadlines of many links: a hierarchical timing wheel.
 *
 * Setting, moving and taking away a deadline costs the same however many there are. A
 * level has 64 slots; a slot of the lowest is one tick, a slot of the next is as long as
 * the whole level below. A timer lies in the level of the highest six bits in which its
 * tick differs from the present one, and moves down as that time comes nearer. No timer
 * is early; one is late by less than a tick.
 *
 * Not thread-safe: a processor keeps its wheel under a lock (scheduler.h). */

enum {
	CWN_TICK_MS = 4,
	CWN_WHEEL_BITS = 6,
	CWN_WHEEL_SLOTS = 1 << CWN_WHEEL_BITS,
	CWN_WHEEL_LEVELS = 5 /* 49 days; timers further away are sorted again then */
};

typedef struct cwn_timer cwn_timer;
struct cwn_timer {
	cwn_timer *next; /* NULL: not in a wheel */
	cwn_timer *previous;
	uint64_t tick;
	unsigned char level, slot;
};

typedef struct cwn_wheel {
	uint64_t tick; /* the present one: it and those before it are over */
	cwn_timer due; /* head of a ring: timers whose time has come and that were not taken out yet */
	uint64_t occupied[CWN_WHEEL_LEVELS];
	cwn_timer slots[CWN_WHEEL_LEVELS][CWN_WHEEL_SLOTS]; /* heads of rings */
} cwn_wheel;

static unsigned
cwn_lowest_bit(uint64_t bits)
{
#if defined(_MSC_VER)
	unsigned long index;
	(void)_BitScanForward64(&index, bits);
	return (unsigned)index;
#else
	return (unsigned)__builtin_ctzll(bits);
#endif
}

static unsigned
cwn_highest_bit(uint64_t bits)
{
#if defined(_MSC_VER)
	unsigned long index;
	(void)_BitScanReverse64(&index, bits);
	return (unsigned)index;
#else
	return 63u - (unsigned)__builtin_clzll(bits);
#endif
}

static void
cwn_wheel_init(cwn_wheel *wheel, uint64_t now_ms)
{
	unsigned level, slot;
	memset(wheel, 0, sizeof(*wheel));
	wheel->tick = now_ms / CWN_TICK_MS;
	wheel->due.next = wheel->due.previous = &wheel->due;
	for (level = 0; level < CWN_WHEEL_LEVELS; level++) {
		for (slot = 0; slot < CWN_WHEEL_SLOTS; slot++) {
			cwn_timer *head = &wheel->slots[level][slot];
			head->next = head->previous = head;
		}
	}
}

static bool
cwn_timer_is_set(const cwn_timer *timer)
{
	return timer->next != NULL;
}

static void
cwn_timer_append(cwn_timer *head, cwn_timer *timer)
{
	timer->next = head;
	timer->previous = head->previous;
	head->previous->next = timer;
	head->previous = timer;
}

/* Into the slot of its tick, which is still to come. */
static void
cwn_wheel_insert(cwn_wheel *wheel, cwn_timer *timer)
{
	static const uint64_t furthest = (UINT64_C(1) << (CWN_WHEEL_BITS * CWN_WHEEL_LEVELS)) - 1;
	uint64_t differs = (wheel->tick ^ timer->tick) | (CWN_WHEEL_SLOTS - 1);
	unsigned level;
	if (differs > furthest) {
		differs = furthest;
	}
	level = cwn_highest_bit(differs) / CWN_WHEEL_BITS;
	timer->level = (unsigned char)level;
	timer->slot = (unsigned char)((timer->tick >> (level * CWN_WHEEL_BITS)) % CWN_WHEEL_SLOTS);
	cwn_timer_append(&wheel->slots[level][timer->slot], timer);
	wheel->occupied[level] |= UINT64_C(1) << timer->slot;
}

static void
cwn_wheel_remove(cwn_wheel *wheel, cwn_timer *timer)
{
	cwn_timer *head;
	if (timer->next == NULL) {
		return;
	}
	timer->previous->next = timer->next;
	timer->next->previous = timer->previous;
	timer->next = timer->previous = NULL;
	if (timer->level == CWN_WHEEL_LEVELS) {
		return; /* it was due */
	}
	head = &wheel->slots[timer->level][timer->slot];
	if (head->next == head) {
		wheel->occupied[timer->level] &= ~(UINT64_C(1) << timer->slot);
	}
}

/* Sets a timer, or moves it; 0: takes it away. */
static void
cwn_wheel_set(cwn_wheel *wheel, cwn_timer *timer, uint64_t deadline_ms)
{
	cwn_wheel_remove(wheel, timer);
	if (deadline_ms != 0) {
		timer->tick = (deadline_ms + CWN_TICK_MS - 1) / CWN_TICK_MS;
		if (timer->tick <= wheel->tick) {
			timer->tick = wheel->tick + 1;
		}
		cwn_wheel_insert(wheel, timer);
	}
}

/* The tick at which something has to be done next; UINT64_MAX: never. Levels further
 * up come later: what is in them differs from the present in a higher digit. */
static uint64_t
cwn_wheel_next_tick(const cwn_wheel *wheel, unsigned *level, unsigned *slot)
{
	for (*level = 0; *level < CWN_WHEEL_LEVELS; ++*level) {
		unsigned shift = *level * CWN_WHEEL_BITS;
		uint64_t occupied = wheel->occupied[*level];
		unsigned present = (unsigned)(wheel->tick >> shift) % CWN_WHEEL_SLOTS;
		uint64_t rotated, range, tick;
		if (occupied == 0) {
			continue;
		}
		rotated = (present == 0) ? occupied : ((occupied >> present) | (occupied << (CWN_WHEEL_SLOTS - present)));
		*slot = (cwn_lowest_bit(rotated) + present) % CWN_WHEEL_SLOTS;
		range = UINT64_C(1) << (shift + CWN_WHEEL_BITS);
		tick = (wheel->tick & ~(range - 1)) + ((uint64_t)*slot << shift);
		/* Only in the highest level, which what lies too far away goes round. */
		return (tick <= wheel->tick) ? tick + range : tick;
	}
	return UINT64_MAX;
}

/* When cwn_wheel_expire has something to do; 0: never. */
static uint64_t
cwn_wheel_deadline(const cwn_wheel *wheel)
{
	unsigned level, slot;
	uint64_t tick;
	if (wheel->due.next != &wheel->due) {
		return wheel->tick * CWN_TICK_MS;
	}
	tick = cwn_wheel_next_tick(wheel, &level, &slot);
	return (tick == UINT64_MAX) ? 0 : tick * CWN_TICK_MS;
}

/* Takes out one timer whose time has come; NULL: none has. */
static cwn_timer *
cwn_wheel_expire(cwn_wheel *wheel, uint64_t now_ms)
{
	uint64_t now = now_ms / CWN_TICK_MS;
	for (;;) {
		cwn_timer *timer = wheel->due.next;
		unsigned level, slot;
		uint64_t tick;
		cwn_timer *head;
		if (timer != &wheel->due) {
			cwn_wheel_remove(wheel, timer);
			return timer;
		}
		tick = cwn_wheel_next_tick(wheel, &level, &slot);
		if (tick > now) {
			if (now > wheel->tick) {
				wheel->tick = now;
			}
			return NULL;
		}
		/* The slot's time begins: what is in it is due, or goes further down; or round
		 * again, into the same slot. */
		wheel->tick = tick;
		head = &wheel->slots[level][slot];
		wheel->occupied[level] &= ~(UINT64_C(1) << slot);
		timer = head->next;
		head->previous->next = NULL;
		head->next = head->previous = head;
		while (timer != NULL) {
			cwn_timer *next = timer->next;
			if (timer->tick <= tick) {
				timer->level = CWN_WHEEL_LEVELS;
				cwn_timer_append(&wheel->due, timer);
			} else {
				cwn_wheel_insert(wheel, timer);
			}
			timer = next;
		}
	}
}
