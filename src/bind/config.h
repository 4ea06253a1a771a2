/*
** config: the config of a box or a template, as scripts write it:
** boxd.BoxConfig, and the option of create, fork and the templates. It is a
** VmConfig message, and beside it what only CreateVm takes.
*/
#ifndef LBX_CONFIG_H
#define LBX_CONFIG_H

#include "method.h"

extern const lbx_param lbx_config[];

/* The option. */
#define LBX_CONFIG                                          \
  {.name = "config", .field = "config", .fields = lbx_config, \
   .place = lbx_config_place}

void lbx_config_place(lua_State *L, int idx,
                      const ProtobufCMessageDescriptor *d);

/* Options for the two fields of its lifecycle, beside it. */
#define LBX_TIMERS                                                   \
  {.name = "auto_suspend_timeout", .read = lbx_config_read_timer,    \
   .place = lbx_config_place_suspend},                               \
  {.name = "auto_destroy_timeout", .read = lbx_config_read_timer,    \
   .place = lbx_config_place_destroy}

void lbx_config_read_timer(lua_State *L, int idx, const char *method);
void lbx_config_place_suspend(lua_State *L, int idx,
                              const ProtobufCMessageDescriptor *d);
void lbx_config_place_destroy(lua_State *L, int idx,
                              const ProtobufCMessageDescriptor *d);

/* What a row with a config has for its `disks`. */
extern const lbx_method lbx_config_disks;

/* boxd.BoxConfig{...}: the same table, checked. */
int lbx_box_config(lua_State *L);

#endif
