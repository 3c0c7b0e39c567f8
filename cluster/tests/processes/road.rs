//! A way to a node on which answers come slowly, but always move.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

/// How much passes at a time.
const PIECE_BYTES: usize = 32 << 10;
/// How long it takes: 2 MiB in a second.
const PIECE_TAKES: Duration = Duration::from_millis(16);

/// The address of a way to `target`. What goes there is fast; what comes back is slow.
pub fn slow_from(target: &str) -> String {
    let (listener, target) = (TcpListener::bind("127.0.0.1:0").unwrap(), target.to_owned());
    let address = listener.local_addr().unwrap().to_string();
    start(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let Ok(far) = TcpStream::connect(&target) else { return };
            let (near_too, far_too) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            start(move || carry(near_too, far_too, Duration::ZERO));
            start(move || carry(far, near, PIECE_TAKES));
        }
    });
    address
}

fn carry(mut from: TcpStream, mut to: TcpStream, pause: Duration) {
    let mut piece = vec![0; PIECE_BYTES];
    while let Ok(bytes @ 1..) = from.read(&mut piece) {
        if to.write_all(&piece[..bytes]).is_err() {
            break;
        }
        thread::sleep(pause.mul_f64(bytes as f64 / PIECE_BYTES as f64));
    }
    // Errors mean that it is closed already.
    let _ = to.shutdown(std::net::Shutdown::Both);
    let _ = from.shutdown(std::net::Shutdown::Both);
}

fn start(work: impl FnOnce() + Send + 'static) {
    thread::Builder::new().spawn(work).unwrap();
}
