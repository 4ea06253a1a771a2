/*
** version: the one place that holds it.
*/
#ifndef BX_VERSION_H
#define BX_VERSION_H

#define BX_VERSION "0.1.0"

#endif
