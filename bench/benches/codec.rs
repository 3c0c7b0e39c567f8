//! Which codec for frames and records? Encode and decode of a command, of one stored record, and of a batch of 64.
//!
//! Comes in: nothing; the record is made here. Leaves: criterion's times and, printed first, the sizes.
//! What was decided with it: `docs/decisions/0003-codec.md`.
//!
//! All candidates encode into a buffer that is used again, and decode into an owned value of the same type.

use std::{hint::black_box, mem};

use bytes::Bytes;
use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use playhouse_cluster::codec;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use wincode::{SchemaRead, SchemaReadOwned, SchemaWrite, config::DefaultConfig};

/// What a change of one entity looks like in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, SchemaWrite, SchemaRead)]
struct Record {
    kind: String,
    key: String,
    schema: u16,
    revision: u64,
    at_ms: u64,
    change: Change,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, SchemaWrite, SchemaRead)]
enum Change {
    State(Bytes),
    Removed,
}

/// What a caller inside the cluster sends to a small entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, SchemaWrite, SchemaRead)]
enum Command {
    Add(i64),
    Get,
}

fn record(number: u64) -> Record {
    Record {
        kind: "document".to_owned(),
        key: format!("package/lib{number:06}"),
        schema: 1,
        revision: 300 + number,
        at_ms: 1_700_000_000_000 + number,
        change: Change::State(Bytes::from_static(&[0xA5; 48])),
    }
}

const FIXED: bincode::config::Configuration<bincode::config::LittleEndian, bincode::config::Fixint> =
    bincode::config::standard().with_fixed_int_encoding();

/// A candidate, as a pair of functions on reused buffers.
trait Candidate<T> {
    const NAME: &'static str;

    fn encode(value: &T, buffer: Vec<u8>) -> Vec<u8>;
    fn decode(bytes: &[u8]) -> T;
}

struct Postcard;
struct Bincode;
struct Wincode;

impl<T: Serialize + DeserializeOwned> Candidate<T> for Postcard {
    const NAME: &'static str = "postcard";

    fn encode(value: &T, buffer: Vec<u8>) -> Vec<u8> {
        codec::encode_into(value, buffer).expect("the record can be encoded")
    }

    fn decode(bytes: &[u8]) -> T {
        codec::decode(bytes).expect("it was encoded here")
    }
}

impl<T: Serialize + DeserializeOwned> Candidate<T> for Bincode {
    const NAME: &'static str = "bincode2-serde";

    fn encode(value: &T, mut buffer: Vec<u8>) -> Vec<u8> {
        bincode::serde::encode_into_std_write(value, &mut buffer, FIXED).expect("the record can be encoded");
        buffer
    }

    fn decode(bytes: &[u8]) -> T {
        bincode::serde::decode_from_slice(bytes, FIXED).expect("it was encoded here").0
    }
}

impl<T> Candidate<T> for Wincode
where
    T: SchemaWrite<DefaultConfig, Src = T> + SchemaReadOwned<DefaultConfig, Dst = T>,
{
    const NAME: &'static str = "wincode";

    fn encode(value: &T, mut buffer: Vec<u8>) -> Vec<u8> {
        wincode::serialize_into(&mut buffer, value).expect("the record can be encoded");
        buffer
    }

    fn decode(bytes: &[u8]) -> T {
        <T as wincode::DeserializeOwned>::deserialize_from(bytes).expect("it was encoded here")
    }
}

fn measure<T, C>(group: &mut BenchmarkGroup<'_, WallTime>, value: &T)
where
    T: PartialEq + std::fmt::Debug,
    C: Candidate<T>,
{
    let encoded = C::encode(value, Vec::new());
    assert_eq!(&C::decode(&encoded), value);
    eprintln!("{:<16}{:>8} bytes", C::NAME, encoded.len());

    group.throughput(Throughput::Bytes(encoded.len() as u64));
    let mut buffer = Vec::with_capacity(encoded.len());
    group.bench_function(format!("encode/{}", C::NAME), |bencher| {
        bencher.iter(|| {
            buffer.clear();
            buffer = C::encode(black_box(value), mem::take(&mut buffer));
            black_box(buffer.len())
        });
    });
    group.bench_function(format!("decode/{}", C::NAME), |bencher| {
        bencher.iter(|| C::decode(black_box(&encoded)));
    });
}

fn compare<T>(criterion: &mut Criterion, name: &str, value: &T)
where
    T: PartialEq + std::fmt::Debug,
    Postcard: Candidate<T>,
    Bincode: Candidate<T>,
    Wincode: Candidate<T>,
{
    eprintln!("{name}");
    let mut group = criterion.benchmark_group(name);
    measure::<_, Postcard>(&mut group, value);
    measure::<_, Bincode>(&mut group, value);
    measure::<_, Wincode>(&mut group, value);
    group.finish();
}

fn codecs(criterion: &mut Criterion) {
    compare(criterion, "command", &Command::Add(1_000));
    compare(criterion, "record", &record(7));
    compare(criterion, "batch of 64", &(0..64).map(record).collect::<Vec<_>>());
}

criterion_group!(benches, codecs);
criterion_main!(benches);
