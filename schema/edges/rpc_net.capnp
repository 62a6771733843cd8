# Edge: rpc - net. The front door calls, net serves.
@0xc563aee0ce782fb3;

interface RpcNet {
  executeRpc @0 (request :Text, uri :Text, user :Text) -> (response :Text);
  # As in rpc_chain.capnp.
  ping @1 () -> ();
}
