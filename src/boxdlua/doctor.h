/*
** host_doctor: what --doctor asks the network and this machine, one small
** question a function; lua/boxd/cli/doctor.lua asks them and judges. They are
** the module "boxd.cli.probe", inside boxdlua only. All but reflect block: the
** doctor does nothing else. Each returns nil and a message when it fails, so
** that a check reads like one of io's functions.
*/
#ifndef BOXD_HOST_DOCTOR_H
#define BOXD_HOST_DOCTOR_H

#include <lua.h>

int luaopen_doctor_probe(lua_State *L);

#endif
