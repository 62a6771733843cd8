//! The front door: HTTP JSON-RPC and REST in, calls to the owners of the methods out.
//!
//! # Correctness
//! One thread runs everything: connections, calls to other processes, timers. Calls wait for other processes
//! without holding anything but their place among the workers; a process that goes away turns into an error of the
//! calls that wait for it. Requests to the supervisor block, so they run on a helper thread.

pub mod arguments;
pub mod attention;
pub mod auth;
pub mod body;
pub mod calls;
pub mod door;
pub mod gui;
pub mod handler;
pub mod http;
pub mod ipc;
pub mod jsonrpc;
pub mod local;
pub mod locked;
pub mod owners;
pub mod rest;
pub mod warmup;
pub mod zmq;
