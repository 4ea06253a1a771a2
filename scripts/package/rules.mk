#: dist          a source archive, the same bytes for the same commit
#: deb           a Debian package of boxdlua, boxd.so and their documents
#: packages-real that package in bare Debian 12 and 13, installed and purged
#: portable      a boxdlua that shares only libc and libm with the system
# Packages for people without a compiler. What they need beyond the build's
# packages: `scripts/deps deb`.

DIST := $(BUILD)/boxd-$(VERSION).tar.gz
PORTABLE := $(BUILD)/portable

.PHONY: dist deb portable
dist: | $(BUILD)
	git -c tar.umask=0022 archive --format=tar --prefix=boxd-$(VERSION)/ HEAD | gzip -n > $(DIST)
	@echo $(DIST)

deb: all
	MAKE="$(MAKE)" VERSION=$(VERSION) BUILD=$(BUILD) sh scripts/package/deb

# Debian has no static library of cJSON: its one file is compiled from Debian's
# source. libcurl and libedit are loaded when they are first needed, as always.
portable: $(PORTABLE)/boxdlua

$(PORTABLE)/cJSON.o:
	sh scripts/package/source cjson $(PORTABLE)/cjson
	$(CC) $(OPT) -fPIC -w -ffile-prefix-map=$(CURDIR)=. -c -o $@ \
	  $(PORTABLE)/cjson/cJSON.c

$(PORTABLE)/boxdlua: $(SO_OBJ) $(EXE_OBJ) $(BUILD)/lua.sym $(PORTABLE)/cJSON.o
	$(CC) $(LDFLAGS) -static-libgcc -Wl,--gc-sections $(WIPE_GRPC) \
	  -Wl,--dynamic-list=$(BUILD)/lua.sym -o $@ $(SO_OBJ) $(EXE_OBJ) \
	  $(PORTABLE)/cJSON.o $(LUA_LINK) \
	  $(GRPC_LINK) -Wl,-Bstatic -lssl -lcrypto -Wl,-Bdynamic -ldl -lm -pthread
	@! ldd $@ | grep -vE 'linux-vdso|lib(c|m)\.so|ld-linux'

# In bare systems: builds the package there, installs it, runs a script on the
# embedded service, and purges it. Needs root and debootstrap.
.PHONY: packages-real
packages-real:
	for s in bookworm trixie; do sh scripts/fresh $$s sh scripts/package/try || exit 1; done
