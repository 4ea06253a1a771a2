/*
** exec_queue: the part of ExecProcess that knows no Lua: the call, the output
** that has arrived and bytes being sent. The userdata embeds the process; its
** __gc releases it by lbx_process_release.
*/
#ifndef LBX_EXEC_QUEUE_H
#define LBX_EXEC_QUEUE_H

#include <stdint.h>

#include "../core/buf.h"
#include "../core/call.h"

/* Bounds in bytes of data. Chunks of little data count by half their memory, so
** that no stream takes more than twice its bound. */
#define LBX_READ_AHEAD (256 << 10) /* received and not awaited */
#define LBX_KEEP_MAX (16 << 20)    /* kept of an unread stream */

typedef struct lbx_chunk lbx_chunk;
struct lbx_chunk {
  lbx_chunk *next;
  uint64_t number; /* of arrival, over both streams */
  const uint8_t *data; /* inside `message` */
  size_t len;
  size_t cost; /* towards the bounds: its data, or half its memory */
  uint8_t message[]; /* as it came */
};

typedef struct lbx_queue {
  lbx_chunk *first, *last;
  size_t cost;       /* of its chunks */
  uint64_t dropped;  /* bytes of data let go */
  bx_event readable; /* a chunk is there, or all has ended */
} lbx_queue;

#define LBX_TAIL_MAX 120

typedef struct lbx_process {
  bx_call *call;
  lbx_queue out, err;
  bx_event any;   /* either is readable */
  bx_event done;  /* the call has ended and all it sent has arrived */
  bool collect;   /* keep everything */
  bool over;      /* no message follows */
  uint64_t chunks;
  int32_t exit_code; /* the last one that was set */
  bool spoke;        /* a message has come */
  bool said_end;     /* the last message was one that ends a command */
  bool tty;
  double heard;      /* when something was sent or came last */
  bx_error bad;      /* the server sent something other than output */

  const char *feed; /* stdin still to be sent; kept by a user value */
  size_t feed_len;
  bool feeding;
  bool open_after; /* the feed is what stdin begins with: it stays open */
  bool killed;     /* its processes in the box have ended, or end now */

  uint8_t tail[LBX_TAIL_MAX]; /* the end of what arrived last, for progress */
  size_t tail_len;

  bx_buf line; /* lines() and expect(): stdout not given out yet, before all
                  in `out` */
  size_t line_at, line_scanned;
} lbx_process;

/* Seconds after which the service drops a command without a terminal that has
** no output. Only specs have another. */
extern double lbx_silence;

/* Takes the call's reference. */
void lbx_process_own(lbx_process *p, bx_call *call);

/* Takes `first`. feed: stdin, then EOF unless open_after; NULL: none. */
void lbx_process_start(lbx_process *p, grpc_byte_buffer *first,
                       const char *feed, size_t len, bool half_close);

/* Receives more if it may; `awaited` is what the caller is about to wait for,
** or NULL. */
void lbx_process_receive(lbx_process *p, const bx_event *awaited);

/* The queue with the oldest chunk; stdout's when both are empty. */
lbx_queue *lbx_process_oldest(lbx_process *p);

void lbx_queue_pop(lbx_queue *q);

/* Has lines() or expect() taken more than it has given? */
static inline bool lbx_process_has_rest(const lbx_process *p) {
  return p->line.len > p->line_at;
}

/* Moves a chunk of stdout into `line`, dropping bytes given already. False
** when memory is out. */
bool lbx_process_take(lbx_process *p);

/* Sends stdin bytes (at most LBX_SEND_MAX of them) or a new size. Nothing may
** be being sent. */
#define LBX_SEND_MAX (256 << 10)
void lbx_process_send(lbx_process *p, const char *data, size_t len);
void lbx_process_resize(lbx_process *p, unsigned cols, unsigned rows);

void lbx_process_release(lbx_process *p);

#endif
