/* All at once: the sessions of the soak, and what their own threads and their turns do. */

enum { PULL_SLOTS = 8, PULL_VANISHERS = 6, PULL_MEDDLERS = 2, PULL_PUSHERS = 4 };

/* A connection whose own thread reads while others write. */
typedef struct pull_duplex {
	pthread_mutex_t lock; /* not between reading and writing: only beginnings and ends */
	cwn_session *session;
	uint64_t pushed;   /* bytes the session has taken */
	uint64_t received; /* bytes the session has read */
} pull_duplex;

typedef struct pull_soak {
	pull_server server;
	cwn_session_options honest, chaos;
	pull_duplex duplex[PULL_DUPLEX];
	pthread_mutex_t lock;
	cwn_session *slots[PULL_SLOTS]; /* the latest chaotic sessions, dead or alive; each a reference */
	unsigned next_slot;
	atomic_bool stop, stop_pushing;
	atomic_llong honest_connections, echoed, pushed, pulled, vanished, begun, ended, meddled, led;
} pull_soak;

typedef struct pull_thread {
	pull_soak *s;
	int number;
} pull_thread;

static uint32_t
pull_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* Writes all, waiting where it must; false when the session is over. */
static bool
pull_own_write(cwn_session *session, const unsigned char *data, size_t size, int gather)
{
	size_t sent = 0;
	while (sent < size) {
		int n = cwn_session_write(session, (const char *)data + sent, size - sent, gather);
		if (n < 0) {
			return false;
		}
		sent += (size_t)n;
		if ((sent < size) && ((cwn_session_wait(session, CWN_CAN_WRITE, -1) & CWN_HUNG_UP) != 0)) {
			return false;
		}
	}
	return true;
}

static void
pull_soak_echo(cwn_session *session)
{
	unsigned char data[6000];
	uint32_t random = (uint32_t)(uintptr_t)session;
	for (;;) {
		int n = cwn_session_read(session, (char *)data, 1 + pull_random(&random) % sizeof(data));
		if (n > 0) {
			CHECK(pull_own_write(session, data, (size_t)n, (int)(pull_random(&random) % 2)));
		} else if (n == -1) {
			CHECK_EQUAL(0, cwn_session_wait(session, CWN_CAN_READ, -1) & CWN_HUNG_UP);
		} else {
			/* the client has read all it wanted */
			return;
		}
	}
}

static void
pull_soak_duplex(pull_duplex *d, cwn_session *session)
{
	unsigned char data[6000];
	uint64_t received = 0;
	int n;
	pthread_mutex_lock(&d->lock);
	d->session = session;
	d->pushed = 0;
	pthread_mutex_unlock(&d->lock);
	while ((n = cwn_session_read(session, (char *)data, sizeof(data))) != 0) {
		if (n > 0) {
			pull_check_bytes(data, (size_t)n, received);
			received += (uint64_t)n;
		} else {
			CHECK_EQUAL(-1, n);
			CHECK_EQUAL(0, cwn_session_wait(session, CWN_CAN_READ, -1) & CWN_HUNG_UP);
		}
	}
	pthread_mutex_lock(&d->lock);
	d->session = NULL;
	d->received = received;
	pthread_mutex_unlock(&d->lock);
	cwn_session_end(session, 30000);
}

/* Whatever comes: some own threads read, some write, some leave the reading to others. */
static void
pull_soak_chaos(pull_soak *s, cwn_session *session)
{
	unsigned char data[6000];
	uint32_t random = (uint32_t)(uintptr_t)&random ^ (uint32_t)atomic_load(&s->begun);
	int turns = (int)(pull_random(&random) % 60);
	cwn_session *old;

	atomic_fetch_add(&session->references, 1);
	pthread_mutex_lock(&s->lock);
	old = s->slots[s->next_slot % PULL_SLOTS];
	s->slots[s->next_slot++ % PULL_SLOTS] = session;
	pthread_mutex_unlock(&s->lock);
	cwn_session_release(old);
	memset(data, 'c', sizeof(data));
	while (turns-- > 0) {
		uint32_t r = pull_random(&random);
		int events = 0;
		switch (r % 4) {
		case 0:
		case 1: {
			int n = cwn_session_read(session, (char *)data, sizeof(data));
			if ((n == 0) || (n == -2)) {
				return;
			}
			if (n > 0) {
				(void)cwn_session_write(session, (char *)data, (size_t)n, (int)(r >> 8) % 2);
			}
			break;
		}
		case 2:
			(void)cwn_session_write(session, (char *)data, (r >> 4) % sizeof(data), (int)(r >> 8) % 2);
			break;
		default:
			events = cwn_session_wait(session, (int)((r >> 6) % 4), (int)((r >> 9) % 10));
			break;
		}
		if ((events & CWN_HUNG_UP) != 0) {
			return;
		}
	}
}

/* An echo whose turns run wherever they may: what a turn cannot finish the own thread
 * does. */
typedef struct pull_led {
	cwn_session *session;
	uint32_t random;
	unsigned char data[6000];
	size_t size, sent; /* what is left to write */
	atomic_bool inside;
	bool more, over;
	bool timed; /* the own thread comes back by itself */
	int elsewhere; /* turns that a leader ran */
} pull_led;

static int
pull_led_turn(void *user_data)
{
	pull_led *led = (pull_led *)user_data;
	size_t size = 1 + pull_random(&led->random) % sizeof(led->data);
	int turn = CWN_TURN_OWN;
	int n;
	CHECK(!atomic_exchange(&led->inside, true)); /* never two at a time */
	n = cwn_session_read(led->session, (char *)led->data, size);
	led->more = (n > 0);
	if (n > 0) {
		int taken = cwn_session_write(led->session,
		                              (char *)led->data,
		                              (size_t)n,
		                              (int)(pull_random(&led->random) % 2));
		CHECK(taken >= 0);
		led->size = (size_t)n;
		led->sent = (size_t)taken;
		turn = (taken == n) ? CWN_TURN_AGAIN : CWN_TURN_OWN;
	} else if (n == -1) {
		turn = CWN_TURN_DONE;
	} else {
		CHECK_EQUAL(0, n);
		led->over = true;
	}
	if (pull_random(&led->random) % 4096 == 0) {
		mg_sleep(25); /* late: the watch goes round the leader */
	}
	atomic_store(&led->inside, false);
	return turn;
}

static int
pull_led_turn_elsewhere(void *user_data)
{
	pull_led *led = (pull_led *)user_data;
	led->elsewhere++;
	if (led->timed && (pull_random(&led->random) % 8 == 0)) {
		return CWN_TURN_UNREAD;
	}
	return pull_led_turn(led);
}

static void
pull_soak_led(pull_led *led)
{
	int events = CWN_CAN_READ;
	while (!led->over) {
		uint32_t r = pull_random(&led->random);
		CHECK(!atomic_load(&led->inside));
		if (led->sent < led->size) {
			CHECK(pull_own_write(led->session, led->data + led->sent, led->size - led->sent, (int)(r % 2)));
			led->sent = led->size;
		}
		/* Wherever the last turn was: what it left must be read before waiting. */
		if (led->more || ((events & CWN_CAN_READ) != 0)) {
			events = 0;
			(void)pull_led_turn(led);
		} else {
			led->timed = (r % 2 == 0);
			events = cwn_session_wait(led->session, CWN_CAN_READ, led->timed ? (int)((r >> 4) % 12) : -1);
			CHECK_EQUAL(0, events & CWN_HUNG_UP);
		}
	}
}

static int
pull_soak_on_request(struct mg_connection *conn)
{
	pull_server *server = (pull_server *)mg_get_user_data(mg_get_context(conn));
	pull_soak *s = (pull_soak *)server->user;
	const struct mg_request_info *info = mg_get_request_info(conn);
	bool chaos = strcmp(info->local_uri, "/chaos") == 0;
	pull_led led;
	cwn_session *session;
	memset(&led, 0, sizeof(led));
	led.random = (uint32_t)atomic_load(&s->begun);
	if (strcmp(info->local_uri, "/led") == 0) {
		session = led.session = pull_accept(conn, &s->honest, pull_led_turn_elsewhere, &led);
	} else {
		session = pull_accept(conn, chaos ? &s->chaos : &s->honest, NULL, NULL);
	}
	if (session == NULL) {
		CHECK(chaos);
		return 500;
	}
	atomic_fetch_add(&s->begun, 1);
	if (chaos) {
		pull_soak_chaos(s, session);
		cwn_session_end(session, 20);
	} else if (led.session != NULL) {
		pull_soak_led(&led);
		cwn_session_end(session, 1000);
		atomic_fetch_add(&s->led, led.elsewhere);
	} else if (strcmp(info->local_uri, "/echo") == 0) {
		pull_soak_echo(session);
		cwn_session_end(session, 1000);
	} else {
		pull_soak_duplex(&s->duplex[atoi(info->query_string)], session);
	}
	cwn_session_release(session);
	atomic_fetch_add(&s->ended, 1);
	return 101;
}
