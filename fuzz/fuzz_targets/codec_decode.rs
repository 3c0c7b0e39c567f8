//! Bytes from a peer or a damaged disk: decoding never panics, and what was decoded survives another round.
//!
//! The first byte chooses the type, the rest is the encoded value.

#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use playhouse::protocol::{
    Body, CallError, EntityId, EntityView, Key, KindName, Page, Published, Reply, RequestId, TraceContext,
};
use playhouse_cluster::{
    codec,
    consensus::{GroupId, RaftId, Term},
};
use serde::{Serialize, de::DeserializeOwned};

fuzz_target!(|data: &[u8]| {
    let Some((choice, bytes)) = data.split_first() else { return };
    match choice % 12 {
        0 => round::<Body>(bytes),
        1 => round::<CallError>(bytes),
        2 => round::<EntityId>(bytes),
        3 => round::<EntityView>(bytes),
        4 => round::<Page>(bytes),
        5 => round::<Published>(bytes),
        6 => round::<Reply>(bytes),
        7 => round::<RequestId>(bytes),
        8 => round::<TraceContext>(bytes),
        9 => round::<(GroupId, RaftId, Term)>(bytes),
        10 => round_of_names(bytes),
        _ => round::<Vec<Option<(u64, String, Vec<u8>)>>>(bytes),
    }
});

/// Different bytes may mean the same value (integers may be padded), so values are compared, not bytes.
fn round<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
    let Ok(value) = codec::decode::<T>(bytes) else { return };
    let encoded = codec::encode(&value).expect("what was decoded can be encoded");
    assert_eq!(codec::decode::<T>(&encoded).expect("what was encoded can be decoded"), value);

    let cut = &encoded[..encoded.len().saturating_sub(1)];
    assert!(encoded.is_empty() || codec::decode::<T>(cut).is_err(), "a cut value is not a value");
    let longer = [&encoded[..], &[0]].concat();
    assert!(codec::decode::<T>(&longer).is_err(), "what is left over is an error");
}

/// A name that could not have been made cannot be decoded either.
fn round_of_names(bytes: &[u8]) {
    if let Ok((kind, key)) = codec::decode::<(KindName, Key)>(bytes) {
        assert_eq!(KindName::new(kind.as_str()), Ok(kind));
        assert_eq!(Key::new(key.as_str()), Ok(key));
    }
    round::<(KindName, Key)>(bytes);
}
