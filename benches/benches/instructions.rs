//! How many instructions the hot paths take, counted by Callgrind: exact, so that a change of one in
//! a hundred is seen on any machine. Times are in the other benches.
//!
//! Needs valgrind and the runner of the same version as the library: `cargo install gungraun-runner
//! --version 0.20.0`. Without either it says so and counts nothing.

/// What gungraun generates has a `main` of its own.
mod suite {
    #![expect(clippy::exit, unused_qualifications, reason = "what the macros generate")]

    use std::hint::black_box;

    use dwell_benches::{Flows, Step};
    use dwell_packet::{DecodeConfig, Decoder, Frame, LinkType, Timestamp};
    use dwell_proto::{Handshake, client_hello};
    use dwell_testkit::traffic::{Mix, Traffic};
    use dwell_testkit::{CapturedFrame, Client};
    use gungraun::prelude::*;

    /// A thousand flows with timing, each visited twice. Boxed, so that no copying is counted.
    fn flows() -> Box<Flows> {
        let mut flows = Box::new(Flows::established(1_000));
        flows.speak();
        for _ in 0..2_000 {
            flows.step(Step::Payload);
        }
        flows
    }

    #[library_benchmark]
    #[bench::acknowledgement(flows(), Step::Acknowledgement)]
    #[bench::payload(flows(), Step::Payload)]
    fn established_flow(mut flows: Box<Flows>, step: Step) -> Box<Flows> {
        black_box(flows.step(black_box(step)));
        flows
    }

    /// The body of a client's first ClientHello.
    fn hello(client: Client) -> Vec<u8> {
        let templates = client.templates();
        let message = templates.first().map(|handshake| handshake.hello().message());
        message.unwrap_or_default().split_off(HANDSHAKE_HEADER)
    }

    #[library_benchmark]
    #[bench::curl(hello(Client::Curl))]
    #[bench::safari(hello(Client::Safari26))]
    #[bench::chromium(hello(Client::Chromium))]
    fn client_hello_walk(body: Vec<u8>) -> Vec<u8> {
        let _ = black_box(client_hello::walk(Handshake::Tls, black_box(&body)));
        body
    }

    /// A decoder that has seen traffic and a frame of over a thousand bytes for it.
    fn decoder(v6: bool) -> Box<(Decoder, Option<CapturedFrame>)> {
        let ethertype: &[u8] = if v6 { &[0x86, 0xdd] } else { &[0x08, 0x00] };
        let wanted = Traffic::new(Mix::Internet, 1)
            .take(10_000)
            .find(|frame| frame.bytes.len() > 1_000 && frame.bytes.get(12..14) == Some(ethertype));
        let mut decoder = Decoder::new(DecodeConfig::default());
        if let Some(found) = &wanted {
            let _ = black_box(decoder.decode(sensed(found)));
        }
        Box::new((decoder, wanted))
    }

    fn sensed(frame: &CapturedFrame) -> Frame<'_> {
        Frame {
            ts: Timestamp::ZERO,
            link_type: LinkType::ETHERNET,
            bytes: &frame.bytes,
            wire_len: frame.wire_len,
            number: 1,
            processes: dwell_packet::Processes::default(),
        }
    }

    #[library_benchmark]
    #[bench::ipv4(decoder(false))]
    #[bench::ipv6(decoder(true))]
    fn decode_peek(
        mut subject: Box<(Decoder, Option<CapturedFrame>)>,
    ) -> Box<(Decoder, Option<CapturedFrame>)> {
        let (decoder, frame) = &mut *subject;
        if let Some(frame) = frame {
            let _ = black_box(decoder.decode(black_box(sensed(frame))));
        }
        subject
    }

    /// Type and length (RFC 8446, section 4).
    const HANDSHAKE_HEADER: usize = 4;

    library_benchmark_group!(
        name = hot_paths,
        benchmarks = [established_flow, client_hello_walk, decode_peek]
    );
    main!(library_benchmark_groups = hot_paths);

    pub(super) fn run() {
        main();
    }
}

fn main() {
    // The runner starts this program again under valgrind, in an empty environment.
    let is_counted = std::env::args().any(|argument| argument == "--gungraun-run");
    if !is_counted {
        for program in ["valgrind", "gungraun-runner"] {
            if !is_installed(program) {
                println!("instructions: {program} is not installed, skipped");
                return;
            }
        }
    }
    suite::run();
}

/// Whether the shell would find a program.
fn is_installed(name: &str) -> bool {
    #[expect(clippy::disallowed_methods, reason = "where programs are, is in the environment")]
    let path = std::env::var("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}
