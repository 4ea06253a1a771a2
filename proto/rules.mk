# What is made of boxd.proto, all in $(BUILD)/proto:
#   boxd.pb-c.c, .h   structs and descriptors for libprotobuf-c
#   boxd.desc         the contract as a FileDescriptorSet
#   boxd_desc.c       the same as a C array, for server reflection

BUILD ?= build
PKG_CONFIG ?= pkg-config
PROTOC ?= protoc

PROTO_OUT := $(BUILD)/proto
PROTOBUF_C_INCLUDE := \
  $(shell $(PKG_CONFIG) --variable=includedir libprotobuf-c)

$(PROTO_OUT)/boxd.proto: proto/boxd.proto proto/protoc-c.awk
	@mkdir -p $(@D)
	awk -f proto/protoc-c.awk proto/boxd.proto > $@.new && mv $@.new $@

# protoc-c's options extend descriptor.proto, which is in another package than
# protoc-c; that these messages can be extended is all it needs to know.
$(PROTO_OUT)/include/google/protobuf/descriptor.proto: proto/rules.mk
	@mkdir -p $(@D)
	{ echo 'syntax = "proto2"; package google.protobuf;'; \
	  for m in File Message Field; do \
	    echo "message $${m}Options { extensions 1000 to max; }"; \
	  done; } > $@.new && mv $@.new $@

$(PROTO_OUT)/boxd.pb-c.c $(PROTO_OUT)/boxd.pb-c.h &: $(PROTO_OUT)/boxd.proto \
    $(PROTO_OUT)/include/google/protobuf/descriptor.proto
	$(PROTOC) -I$(PROTO_OUT) -I$(PROTO_OUT)/include \
	  -I$(PROTOBUF_C_INCLUDE) --c_out=$(PROTO_OUT) $<

$(PROTO_OUT)/boxd.desc: proto/boxd.proto
	@mkdir -p $(@D)
	$(PROTOC) -Iproto --descriptor_set_out=$@ $<

$(PROTO_OUT)/boxd_desc.c: $(PROTO_OUT)/boxd.desc
	{ echo '#include <stddef.h>'; \
	  echo 'const unsigned char bx_proto_descriptor[] = {'; \
	  od -An -v -tx1 $< | sed 's/ \(..\)/0x\1,/g'; \
	  echo '};'; \
	  echo 'const size_t bx_proto_descriptor_len ='; \
	  echo '  sizeof bx_proto_descriptor;'; } > $@.new && mv $@.new $@
