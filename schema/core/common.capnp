# Shared by Core's client interfaces (src/ipc/capnp/common.capnp).
@0xcd2c6232cb484a28;

struct BlockRef {
  hash @0 :Data;    # 32 bytes, internal order
  height @1 :Int32;
}
