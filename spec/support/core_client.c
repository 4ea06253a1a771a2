/*
** core_client: src/core as a client, without Lua: lists boxes, runs a command
** in one with its output as it comes, and stops that box.
**
** usage: core_client BOX COMMAND; the environment says where and with which
** credentials, as for scripts. Exits as the command does; 125: an error.
*/
#include <stdio.h>
#include <stdlib.h>

#include "boxd.pb-c.h"
#include "core/client.h"

static void check(bx_class c, const bx_error *e, const char *what) {
  if (c == BX_OK) return;
  fprintf(stderr, "%s: %s: %s\n", what, bx_class_name(c), e->message);
  exit(125);
}

static void list(bx_client *client) {
  Boxd__Api__V1__ListVmsRequest request = BOXD__API__V1__LIST_VMS_REQUEST__INIT;
  ProtobufCMessage *reply;
  bx_error e;
  check(bx_client_ask(client, bx_rpc_find("ListVms"), &request.base,
                      bx_now() + BX_CLIENT_TIMEOUT, &reply, &e), &e, "list");
  const Boxd__Api__V1__ListVmsResponse *boxes = (const void *)reply;
  for (size_t i = 0; i < boxes->n_vms; i++)
    printf("%s is %s\n", boxes->vms[i]->name, boxes->vms[i]->status);
  protobuf_c_message_free_unpacked(reply, NULL);
}

static int run(bx_client *client, char *box, char *command) {
  Boxd__Api__V1__ExecChunk first = BOXD__API__V1__EXEC_CHUNK__INIT;
  const bx_rpc *exec = bx_rpc_find("Exec");
  ProtobufCMessage *message;
  bx_error e;
  int code = 0;
  first.vm_id = box;
  first.command = command;
  bx_call *call = bx_client_call(client, exec, &first.base, BX_FOREVER, &e);
  if (!call) check(e.class_, &e, "exec");
  check(bx_client_send(call, NULL, true, &e), &e, "exec");
  for (;;) {
    check(bx_client_receive(call, exec, &message, &e), &e, "exec");
    if (!message) break;
    const Boxd__Api__V1__ExecChunk *chunk = (const void *)message;
    if (chunk->exit_code) code = chunk->exit_code;
    for (size_t i = 0; i < chunk->data.len; i++)
      putc(chunk->data.data[i], chunk->is_stderr ? stderr : stdout);
    fflush(stdout);
    protobuf_c_message_free_unpacked(message, NULL);
  }
  bx_call_unref(call);
  return code;
}

int main(int argc, char **argv) {
  Boxd__Api__V1__StopVmRequest stop = BOXD__API__V1__STOP_VM_REQUEST__INIT;
  bx_client_config config = BX_CLIENT_DEFAULTS;
  ProtobufCMessage *reply;
  bx_error e;
  if (argc != 3) return 125;
  bx_loop *loop = bx_loop_new();
  bx_client *client = bx_client_new(loop, &config, &e);
  if (!client) check(e.class_, &e, "client");
  list(client);
  int code = run(client, argv[1], argv[2]);
  stop.vm_id = argv[1];
  check(bx_client_ask(client, bx_rpc_find("StopVm"), &stop.base,
                      bx_now() + BX_CLIENT_TIMEOUT, &reply, &e), &e, "stop");
  protobuf_c_message_free_unpacked(reply, NULL);
  bx_client_free(client);
  bx_loop_free(loop);
  return code;
}
