/*
** proxy: which proxy of the environment leads to a service. gRPC reads the
** names in small letters alone; most programs know both.
*/
#ifndef BX_PROXY_H
#define BX_PROXY_H

/* "http://host:port" of the first that is set: grpc_proxy, https_proxy,
** HTTPS_PROXY, http_proxy; all are asked by CONNECT. NULL: none,
** or the target ("host:port") is this machine, or no_grpc_proxy, no_proxy or
** NO_PROXY has its host, a domain it is in, or "*". The environment's text,
** valid as long as that is. */
const char *bx_proxy_for(const char *target);

#endif
