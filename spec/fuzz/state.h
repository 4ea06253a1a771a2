/*
** state: what the fuzzers of the bindings share: a Lua state of its own for
** each input, so that a leak shows at the input that made it.
*/
#ifndef FUZZ_STATE_H
#define FUZZ_STATE_H

#include <lua.h>
#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the input, taken one after another; zeros when they are out. */
typedef struct fuzz_input {
  const uint8_t *p, *end;
} fuzz_input;

uint8_t fuzz_byte(fuzz_input *in);
uint64_t fuzz_bits(fuzz_input *in, unsigned bytes);

/* A state with our error values; the caller closes it. */
lua_State *fuzz_state(void);

/* The message that the input's next two bytes choose, of all that the
** contract's calls take or give, also those within others. */
const ProtobufCMessageDescriptor *fuzz_message(fuzz_input *in);

/* Ends the program, which libFuzzer reports with the input. */
_Noreturn void fuzz_fail(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));

/* Ends it unless the table on the top of the stack reads as codec.h promises
** for the message. */
void fuzz_same(lua_State *L, const ProtobufCMessage *m);

#endif
