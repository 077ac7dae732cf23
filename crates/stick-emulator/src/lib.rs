//! A `libopenvino_c` that behaves like a host with Neural Compute Sticks on OpenVINO 2022.3: for
//! tests, demos and capacity planning without hardware.
//!
//! A program loads it in place of OpenVINO's C library and cannot tell. Link the built
//! `libncs_stick_emulator.so` as `libopenvino_c.so` into a folder of its own, and load it from there:
//!
//! ```sh
//! ln -s target/release/libncs_stick_emulator.so sticks/libopenvino_c.so
//! STICKS=4 ncs-worker devices --openvino-dir sticks
//! ```
//!
//! It exports the functions of 2022.3's `openvino/c/*.h`, and so no `ov_get_last_err_msg`. Those that a
//! classifier has no use for answer `NOT_IMPLEMENTED`. The legacy `ie_*` functions, which that library
//! also has, are left out.
//!
//! # The map
//!
//! Read in this order:
//!
//! 1. `stick.rs`: the time an inference takes, and what the state of a stick does to it;
//!    `stick/inference.rs`: waiting for its end;
//! 2. `network.rs`: a model loaded on one stick or several, and which one gets the next inference;
//! 3. `host.rs`: the sticks on the bus, as a core of OpenVINO sees them; `device.rs`: their names;
//! 4. `request.rs`: an infer request with its tensors (`memory.rs`); `answer.rs`: the scores;
//!    `backend.rs`: a real OpenVINO that computes them instead;
//! 5. `ir.rs`: what is read of a model;
//! 6. `control.rs`, `condition.rs`, `stats.rs`: the control folder;
//! 7. `settings.rs`: the environment;
//! 8. `c_api/`: the C functions; all that is `unsafe` is there and in `backend.rs`; `status.rs`: what they answer.
//!
//! # Time
//!
//! A stick serves one inference at a time, for 10.79 ms; transferring the input before that and the
//! scores afterwards takes 6.795 ms each, and transfers overlap with everything. That is googlenet-v1
//! as measured on hardware: 41.02 inferences per second one at a time, 92.68 with three or more in
//! flight. Nobody is busy meanwhile, so that 32 sticks fit on two cores beside a broker.
//!
//! # The environment
//!
//! It is read once, when the first core is created.
//!
//! | variable | default | |
//! | --- | --- | --- |
//! | `STICKS` | 1 | how many sticks there are, on the ports 1.1, 1.2, … |
//! | `STICKS_LATENCY_MS` | 24.38 | one inference on an idle stick |
//! | `STICKS_SERVICE_MS` | 10.79 | the part of it in which the stick serves no other; may be 0 |
//! | `STICKS_COMPILE_MS` | 200 | loading a network, for each stick of a `MULTI:` one after the other |
//! | `STICKS_BOOT_MS` | 2000 | from plugging in to being listed |
//! | `STICKS_CONTROL` | | the control folder |
//! | `STICKS_BACKEND` | | a real `libopenvino_c.so`, or its folder: its CPU computes the scores |
//! | `STICKS_KEEP_LOST` | 0 | 1: as with the real plugin, a stick that this core has used stays in its list when it is unplugged, is listed twice when it comes back, and never works again |
//! | `STICKS_POISON` | | 8 bytes of text: an inference of an input that begins with them kills the process, as a bug in a driver may |
//!
//! # The control folder
//!
//! The file `sticks` in it says which sticks there are, one in a line: `<port> <state>`, then
//! optionally `at <celsius>`, and `#` before a comment. A stick without a line is unplugged. Replace the
//! file by renaming a new one over it; a change takes effect within about 20 ms. While there is no
//! file, the variables hold. A file with a malformed line is told on the standard error and changes
//! nothing.
//!
//! | state | |
//! | --- | --- |
//! | `ok` | |
//! | `unplugged` | leaves the list; its inferences in flight fail at once, and so does each that it is given. Plugged in again it boots, and networks compiled before go on failing for it |
//! | `failing` | every inference fails at once, those in flight too |
//! | `flaky <n>` | one inference in `n` fails, at its end |
//! | `hanging` | no inference ends; waiting for one keeps its time limit, freeing its request has none |
//! | `stuck` | as `hanging`, but waiting ignores its time limit, and compiling for it does not return either |
//! | `slow <factor>` | everything takes so many times as long |
//! | `uncompilable` | compiling for it fails |
//!
//! Inferences that hang end well at once when the state becomes any that is neither of the two, unless
//! it is one in which they fail. A `MULTI:` network gives each inference to the stick with the fewest in
//! hand, so one that fails everything at once is given nearly everything.
//!
//! What the sticks did is written to `stats-<process id>.json`, within 60 ms of a change:
//!
//! ```json
//! {
//!   "compiled": [
//!     {"device": "MULTI:MYRIAD.1.1-ma2480,MYRIAD.1.2-ma2480", "sticks": ["1.1", "1.2"],
//!      "requests": 8, "alive": true}
//!   ],
//!   "compiles_total": 1, "requests_created": 8,
//!   "inferences": {"started": 202, "completed": 194, "failed": 0},
//!   "in_flight": 8, "max_in_flight": 8,
//!   "sticks": [
//!     {"port": "1.1", "state": "ok", "inferences": 101, "in_flight": 4, "max_in_flight": 4},
//!     {"port": "1.2", "state": "ok", "inferences": 101, "in_flight": 4, "max_in_flight": 4}
//!   ]
//! }
//! ```
//!
//! # What is simpler than it is in reality
//!
//! - Every process has a host of its own: processes do not share a stick's time. A real stick that one
//!   process has opened is not even listed for another.
//! - The real `MULTI` has a few requests of its own for each stick, and gives an inference to the first
//!   stick, in the order of the name, that has one free. Here the idlest stick gets it. Either way a
//!   stick that fails everything at once is given nearly everything, as soon as more requests are in
//!   flight than the sticks before it hold.
//! - A real stick that hangs, or that was unplugged, takes the others with it: when it has not answered
//!   the plugin's watchdog for 12 s, all sticks of the process are reset. Here the others go on.
//! - Callbacks, tensors of the program's own and cancelling are not there.
//!
//! # The scores
//!
//! They follow from the bytes of the input alone, so a test can check that each answer belongs to its
//! image. One class gets 0.9, another 0.09, all others 0:
//!
//! ```python
//! def best_two(data: bytes, classes: int) -> tuple[int, int]:
//!     data = data.ljust(8, b"\0")
//!     last = len(data) - 8
//!     h = 0xCBF29CE484222325
//!     for offset in [*range(0, last + 1, 512), last]:
//!         h = (h ^ int.from_bytes(data[offset : offset + 8], "little")) * 0x100000001B3 % 2**64
//!         h ^= h >> 32
//!     best, second = h % classes, (h >> 32) % classes
//!     return best, second if second != best else (second + 1) % classes
//! ```
//!
//! With `STICKS_BACKEND` they are the real network's. An inference ends when the stick's time is over
//! and the CPU is done, so the pace holds as long as the CPU keeps up.
//!
//! Only the first input counts, and only the first output is written. Not every byte is read: an input
//! may differ from another in bytes that are not sampled, and get the same answer.

mod answer;
mod backend;
#[expect(unsafe_code, reason = "the C boundary: pointers come in and go out")]
mod c_api;
mod condition;
mod control;
mod device;
mod host;
mod ir;
mod memory;
mod network;
mod request;
mod settings;
mod stats;
mod status;
mod stick;
