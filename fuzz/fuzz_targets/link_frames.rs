//! Bytes of an authenticated peer: taking frames out of them never panics, loses nothing and invents nothing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use playhouse_cluster::peering::fuzzing;

fuzz_target!(|data: &[u8]| fuzzing::frames(data));
