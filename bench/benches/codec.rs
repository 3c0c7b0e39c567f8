//! Which codec for frames and records? Encode and decode of one stored record, and of a batch of 64, by each candidate.
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
use wincode::{SchemaRead, SchemaWrite};

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

impl Candidate<Record> for Wincode {
    const NAME: &'static str = "wincode";

    fn encode(value: &Record, mut buffer: Vec<u8>) -> Vec<u8> {
        wincode::serialize_into(&mut buffer, value).expect("the record can be encoded");
        buffer
    }

    fn decode(bytes: &[u8]) -> Record {
        wincode::deserialize(bytes).expect("it was encoded here")
    }
}

impl Candidate<Vec<Record>> for Wincode {
    const NAME: &'static str = "wincode";

    fn encode(value: &Vec<Record>, mut buffer: Vec<u8>) -> Vec<u8> {
        wincode::serialize_into(&mut buffer, value).expect("the records can be encoded");
        buffer
    }

    fn decode(bytes: &[u8]) -> Vec<Record> {
        wincode::deserialize(bytes).expect("they were encoded here")
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

fn codecs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("record");
    measure::<_, Postcard>(&mut group, &record(7));
    measure::<_, Bincode>(&mut group, &record(7));
    measure::<_, Wincode>(&mut group, &record(7));
    group.finish();

    let batch: Vec<_> = (0..64).map(record).collect();
    let mut group = criterion.benchmark_group("batch of 64");
    measure::<_, Postcard>(&mut group, &batch);
    measure::<_, Bincode>(&mut group, &batch);
    measure::<_, Wincode>(&mut group, &batch);
    group.finish();
}

criterion_group!(benches, codecs);
criterion_main!(benches);
