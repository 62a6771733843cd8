# Threads and call contexts as libmultiprocess names them on the wire. File id, names and ordinals are
# those of its mp/proxy.capnp, because interface ids derive from them.
@0xcc316e3f71a040fb;

interface ThreadMap {
  makeThread @0 (name :Text) -> (result :Thread);
  # A handle that later calls name in their Context; calls that name one handle run in order.
  makePool @1 (count :UInt32) -> ();
  # Threads for calls that name none. A second pool on one connection is an error.
}

interface Thread {
  getName @0 () -> (result :Text);
}

struct Context {
  thread @0 :Thread;
  callbackThread @1 :Thread;
}
