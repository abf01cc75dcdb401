/* Systems without epoll: a session keeps its own thread. */

/* How a wait on a seat has ended. */
typedef enum cwn_park_result {
	CWN_PARK_OVER,  /* the deadline has passed */
	CWN_PARK_WOKEN, /* a wake, or a leader has given the turn back */
	CWN_PARK_FAILED /* it could not be parked: the own thread keeps the turn */
} cwn_park_result;

typedef struct cwn_leader cwn_leader;

static cwn_seat *
cwn_seat_begin(cwn_session *session,
               int (*run)(void *user_data, const cwn_leader *leader, bool until_empty),
               void *user_data)
{
	(void)session;
	(void)run;
	(void)user_data;
	return NULL;
}

static void
cwn_seat_end(cwn_seat *seat)
{
	(void)seat;
}

static void
cwn_seat_disarm(cwn_seat *seat)
{
	(void)seat;
}

static bool
cwn_seat_may_park(cwn_seat *seat, uint64_t *keep_until)
{
	(void)seat;
	*keep_until = 0;
	return false;
}

static void
cwn_seat_begin_turn(cwn_seat *seat)
{
	(void)seat;
}

static void
cwn_seat_end_turn(cwn_seat *seat)
{
	(void)seat;
}

static cwn_park_result
cwn_seat_wait(cwn_seat *seat, uint64_t deadline)
{
	(void)seat;
	(void)deadline;
	return CWN_PARK_FAILED;
}

static void
cwn_seat_receive_again(cwn_seat *seat)
{
	(void)seat;
}

static bool
cwn_leader_is_late(const cwn_leader *leader)
{
	(void)leader;
	return true;
}

static bool
cwn_seat_is_parked_for(const cwn_seat *seat, uint64_t deadline)
{
	(void)seat;
	(void)deadline;
	return false;
}

CWN_API void
cwn_use_processors(unsigned count)
{
	(void)count;
}
