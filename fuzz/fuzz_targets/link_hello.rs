//! What a peer says first: decoding it never panics, and what was decoded survives another round.

#![no_main]

use libfuzzer_sys::fuzz_target;
use playhouse_cluster::peering::fuzzing;

fuzz_target!(|data: &[u8]| fuzzing::hello(data));
