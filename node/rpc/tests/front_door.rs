//! The front door over real sockets, with owners that are played by the test.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::mpsc;

use bulkhead_control::message::{Configure, LogOptions};
use bulkhead_control::{Component, Handle, Parent, RpcConfig, ToChild, TypedConfig, birth_on, pair};
use bulkhead_link::{connect, run, serve};
use bulkhead_rpc::auth::Credentials;
use bulkhead_rpc::door::Door;
use bulkhead_rpc::http::server::Server;
use bulkhead_rpc::owners::Owners;
use bulkhead_schema::wire::rpc_chain_capnp::rpc_chain;
use bulkhead_schema::wire::rpc_wallet_capnp::rpc_wallet;
use serde_json::{Value, json};
use tokio::sync::Notify;

const PASSWORD_HASH: &str = "salt$84ec44c7d6fc41917953a1dafca3c7d7856f7a9d0328b991b76f0d36be1224b9";

/// Plays chain: says what it was asked, and waits in "waitfornewblock" until it is told to go on.
#[derive(Default)]
struct Chain {
    seen: RefCell<Vec<String>>,
    go_on: Notify,
}

impl rpc_chain::Server for Chain {
    async fn execute_rpc(
        self: Rc<Self>,
        params: rpc_chain::ExecuteRpcParams,
        mut results: rpc_chain::ExecuteRpcResults,
    ) -> Result<(), capnp::Error> {
        let request: Value = serde_json::from_str(params.get()?.get_request()?.to_str()?).unwrap();
        let method = request["method"].as_str().unwrap().to_owned();
        self.seen.borrow_mut().push(method.clone());
        if method == "waitfornewblock" {
            self.go_on.notified().await;
        }
        let answer = match method.as_str() {
            "getblockhash" => json!({"error": {"code": -8, "message": "Block height out of range"}}),
            "getblockheader" => return Err(capnp::Error::failed("gone".into())),
            _ => json!({"result": request["params"]}),
        };
        results.get().set_response(answer.to_string());
        Ok(())
    }
}

/// Plays the wallet: answers with the path that it was asked under.
struct Wallet;

impl rpc_wallet::Server for Wallet {
    async fn execute_rpc(
        self: Rc<Self>,
        params: rpc_wallet::ExecuteRpcParams,
        mut results: rpc_wallet::ExecuteRpcResults,
    ) -> Result<(), capnp::Error> {
        let uri = params.get()?.get_uri()?.to_str()?.to_owned();
        results.get().set_response(json!({"result": uri}).to_string());
        Ok(())
    }
}

fn control(config: &RpcConfig) -> Handle {
    let (ours, theirs) = pair().unwrap();
    let parent = Parent::new(ours);
    let configure = Configure {
        component: "rpc".into(),
        sandbox: "off".into(),
        memory: None,
        fields: config.to_fields(),
        log: LogOptions::default(),
        descriptors: Vec::new(),
    };
    parent.send(&ToChild::Configure(configure), &[]).unwrap();
    let control = birth_on::<RpcConfig>(Component::Rpc, theirs).unwrap().confine(&[]).unwrap();
    // The supervisor's end stays open for the life of the process.
    std::mem::forget(parent);
    control.split().unwrap().0
}

fn streams() -> (OwnedFd, OwnedFd) {
    let (a, b) = UnixStream::pair().unwrap();
    (a.into(), b.into())
}

/// Starts a server, runs `client` on another thread against it, and answers which methods chain saw.
fn with_server(config: RpcConfig, client: impl FnOnce(SocketAddr, Release) + Send + 'static) -> Vec<String> {
    run(async move {
        let handle = control(&config);
        let owners = Owners::default();
        let credentials = Credentials::parse(&config.rpcauth).unwrap();
        let chain = Rc::new(Chain::default());
        let (ours, theirs) = streams();
        let served: rpc_chain::Client = capnp_rpc::new_client_from_rc(Rc::clone(&chain));
        serve(theirs, "rpc-chain", served.client).unwrap();
        owners.chain.set(connect(ours, "rpc-chain", None).unwrap());
        let (ours, theirs) = streams();
        let served: rpc_wallet::Client = capnp_rpc::new_client(Wallet);
        serve(theirs, "rpc-wallet", served.client).unwrap();
        owners.wallet.set(connect(ours, "rpc-wallet", None).unwrap());

        let door = Rc::new(Door::new(config, credentials, owners, handle));
        let server = Server::new(Rc::clone(&door));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        tokio::task::spawn_local(Rc::clone(&server).accept(listener));
        door.warmup.follow(&door.owners, true).await;
        let release = Rc::clone(&chain);
        let (done, finished) = tokio::sync::oneshot::channel();
        let (release_now, mut released) = tokio::sync::mpsc::unbounded_channel();
        std::thread::spawn(move || {
            client(address, release_now);
            done.send(()).unwrap();
        });
        tokio::task::spawn_local(async move {
            while released.recv().await.is_some() {
                release.go_on.notify_waiters();
            }
        });
        finished.await.expect("the client thread panicked");
        door.stop.send_replace(true);
        server.drained().await;
        chain.seen.borrow().clone()
    })
    .unwrap()
}

/// Tells chain to let waiting calls go.
type Release = tokio::sync::mpsc::UnboundedSender<()>;

fn config() -> RpcConfig {
    RpcConfig {
        network: "regtest".into(),
        rpcauth: vec![format!("alice:{PASSWORD_HASH}"), format!("bob:{PASSWORD_HASH}")],
        rpcwhitelist: vec!["bob:getblockcount".into()],
        rpcthreads: 2,
        rpcworkqueue: 16,
        rpcservertimeout: 30,
        wallet: true,
        ..RpcConfig::default()
    }
}

struct Client(TcpStream);

/// Status, headers and body of one reply.
type Answer = (u16, String, String);

impl Client {
    fn new(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).unwrap())
    }

    fn send(&mut self, path: &str, user: &str, body: &str) {
        use base64::Engine;
        let credential = base64::engine::general_purpose::STANDARD.encode(user);
        write!(
            self.0,
            "POST {path} HTTP/1.1\r\nAuthorization: Basic {credential}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
    }

    fn receive(&mut self) -> Answer {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).map_or(0, |text| text.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        (head[9..12].parse().unwrap(), head, String::from_utf8(body).unwrap())
    }

    fn post(&mut self, path: &str, user: &str, body: &str) -> Answer {
        self.send(path, user, body);
        self.receive()
    }

    fn call(&mut self, body: &str) -> (u16, String) {
        let (status, _, body) = self.post("/", "alice:password", body);
        (status, body)
    }
}

#[test]
fn calls_are_answered_by_their_owner_under_the_rules_of_their_version() {
    let seen = with_server(config(), |address, _| {
        let mut client = Client::new(address);
        for (body, status, answer) in [
            (r#"{"method":"getblockcount","id":1}"#, 200, "{\"result\":[],\"error\":null,\"id\":1}\n"),
            (
                r#"{"jsonrpc":"2.0","method":"getblock","params":{"blockhash":"h","verbose":1},"id":"a"}"#,
                200,
                "{\"jsonrpc\":\"2.0\",\"result\":[\"h\",1],\"id\":\"a\"}\n",
            ),
            (
                r#"{"method":"getblockhash","params":[9],"id":1}"#,
                500,
                "{\"result\":null,\"error\":{\"code\":-8,\"message\":\"Block height out of range\"},\"id\":1}\n",
            ),
            (
                r#"{"method":"nothing","id":1}"#,
                404,
                "{\"result\":null,\"error\":{\"code\":-32601,\"message\":\"Method not found\"},\"id\":1}\n",
            ),
            (
                r#"{"jsonrpc":"2.0","method":"nothing","id":1}"#,
                200,
                "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32601,\"message\":\"Method not found\"},\"id\":1}\n",
            ),
            (r#"{"jsonrpc":"2.0","method":"getblockcount"}"#, 204, ""),
            ("nonsense", 500, "{\"result\":null,\"error\":{\"code\":-32700,\"message\":\"Parse error\"},\"id\":null}\n"),
            ("[]", 200, "[]\n"),
            (
                r#"[{"method":"echo","params":[1.50],"id":1},{"pizza":1},{"jsonrpc":"2.0","method":"uptime"}]"#,
                200,
                "[{\"result\":[1.50],\"error\":null,\"id\":1},{\"result\":null,\"error\":{\"code\":-32600,\"message\":\"Missing method\"}}]\n",
            ),
        ] {
            assert_eq!(client.call(body), (status, answer.to_owned()), "{body}");
        }
        let (status, body) = client.call(r#"{"method":"getblockheader","params":["h"],"id":1}"#);
        assert!(status == 500 && body.contains("bitcoin-chain did not answer"), "{body}");
    });
    assert!(seen.iter().filter(|method| *method == "getblockcount").count() >= 3);
}

#[test]
fn wallet_calls_reach_the_wallet_and_never_chain() {
    let seen = with_server(config(), |address, _| {
        let mut client = Client::new(address);
        let (_, _, body) =
            client.post("/wallet/a%20b", "alice:password", r#"{"method":"walletpassphrase","params":["secret",1],"id":1}"#);
        assert_eq!(body, "{\"result\":\"/wallet/a%20b\",\"error\":null,\"id\":1}\n");
        let (_, _, body) = client.post("/wallet/w", "alice:password", r#"{"method":"getblockcount","id":1}"#);
        assert_eq!(body, "{\"result\":[],\"error\":null,\"id\":1}\n");
    });
    assert!(seen.iter().all(|method| method == "getblockcount"), "{seen:?}");
}

#[test]
fn wrong_credentials_and_forbidden_methods_are_refused() {
    with_server(config(), |address, _| {
        let mut client = Client::new(address);
        let (status, head, body) = client.post("/", "alice:wrong", "{}");
        assert!(status == 401 && head.contains("WWW-Authenticate: Basic realm=\"jsonrpc\"") && body.is_empty(), "{head}");
        assert_eq!(client.post("/", "bob:password", r#"{"method":"getblockcount","id":1}"#).0, 200);
        assert_eq!(client.post("/", "bob:password", r#"{"method":"stop","id":1}"#).0, 403);
        assert_eq!(client.post("/", "bob:password", r#"[{"method":"getblockcount"},{"method":"stop"}]"#).0, 403);
        assert_eq!(client.post("/nothing", "alice:password", "").0, 404);
        client.0.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!(client.receive().0, 405);
        client.0.write_all(b"GET / SPDY/9\r\n\r\n").unwrap();
        assert_eq!(client.receive().0, 400);
        assert_eq!(client.0.read(&mut [0]).unwrap(), 0, "the connection ends after a malformed request");
    });
}

#[test]
fn calls_beyond_the_work_queue_are_refused() {
    let config = RpcConfig { rpcthreads: 1, rpcworkqueue: 1, ..config() };
    with_server(config, |address, release| {
        // With one worker and one place, two of three waiting calls are taken, and the third is refused at once.
        let mut clients: Vec<Client> = (0..3).map(|_| Client::new(address)).collect();
        let (tell, told) = mpsc::channel();
        let mut readers = Vec::new();
        for (index, mut client) in clients.drain(..).enumerate() {
            let tell = tell.clone();
            readers.push(std::thread::spawn(move || {
                client.send("/", "alice:password", r#"{"method":"waitfornewblock","id":1}"#);
                tell.send((index, client.receive().0)).unwrap();
            }));
        }
        assert_eq!(told.recv().unwrap().1, 503);
        let mut answered = 0;
        while answered < 2 {
            release.send(()).unwrap();
            if let Ok((_, status)) = told.recv_timeout(std::time::Duration::from_millis(5)) {
                assert_eq!(status, 200);
                answered += 1;
            }
        }
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    with_server(config(), |address, _| {
        let mut client = Client::new(address);
        for number in 0..5 {
            client.send("/", "alice:password", &format!(r#"{{"method":"echo","params":[{number}],"id":1}}"#));
        }
        for number in 0..5 {
            assert_eq!(client.receive().2, format!("{{\"result\":[{number}],\"error\":null,\"id\":1}}\n"));
        }
    });
}
