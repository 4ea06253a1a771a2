/*
** layer_text: what the files of the layer say (layer.c). Strings returned are
** the caller's to free; NULL means no memory.
*/
#ifndef BX_LAYER_TEXT_H
#define BX_LAYER_TEXT_H

/* A line "NAME" + rest for every name in a file like /etc/passwd: nobody can
** log in with a password, and no hash of this machine shows. */
char *bx_layer_locked(const char *names, const char *rest);

/* This machine's name servers, without those that only it can reach, after one
** of boxes' own, or NULL. */
char *bx_layer_resolv(const char *own);

extern const char bx_layer_sudo[];   /* in a box one is root already */
extern const char bx_layer_policy[]; /* packages do not start services */
extern const char bx_layer_apt[];    /* for boxes with a single user id */

#endif
