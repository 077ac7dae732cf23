//! Each answer belongs to its own job, whatever happens to the sticks meanwhile.

use crate::client::{Client, block_on};
use crate::host::Host;
use ncs_e2e::sticks::State;
use ncs_protocol::Outcome;
use std::collections::BTreeMap;

const TENSOR_BYTES: usize = 224 * 224 * 3;

/// The class that the emulator gives these bytes, as its documentation says.
fn class_of(tensor: &[u8]) -> u64 {
    let word = |offset: usize| {
        let bytes = tensor[offset..offset + 8].try_into().expect("8 bytes");
        u64::from_le_bytes(bytes)
    };
    let last = tensor.len() - 8;
    let offsets = (0..=last).step_by(512).chain([last]);
    offsets.fold(0xcbf2_9ce4_8422_2325, |hash: u64, offset| {
        let hash = (hash ^ word(offset)).wrapping_mul(0x100_0000_01b3);
        hash ^ (hash >> 32)
    }) % 1000
}

fn tensor(number: u32) -> Vec<u8> {
    let mut bytes = vec![0; TENSOR_BYTES];
    for (place, chunk) in bytes.chunks_exact_mut(4).enumerate() {
        let place = u32::try_from(place).expect("small");
        let value = (number + 1)
            .wrapping_mul(2_654_435_761)
            .rotate_left(place % 31);
        chunk.copy_from_slice(&value.to_le_bytes());
    }
    bytes
}

#[test]
fn every_answer_is_that_of_its_own_image_while_sticks_fail() {
    const JOBS: u32 = 400;
    let host = Host::with(3, &[]);
    block_on(async {
        let mut client = Client::connect(&host.model).await;
        for number in 0..JOBS {
            let id = number.to_string();
            client
                .send_image(&id, "application/octet-stream", tensor(number))
                .await;
        }
        let mut classes: BTreeMap<u32, u32> = BTreeMap::new();
        for count in 0..JOBS {
            match count {
                30 => host.sticks.set("1.1", State::Hanging).expect("set"),
                100 => host.sticks.unplug("1.2").expect("unplugged"),
                200 => host.sticks.set("1.1", State::Ok).expect("set"),
                _ => {}
            }
            let (properties, result) = client.result().await;
            let number = properties
                .correlation_id
                .expect("its job")
                .parse()
                .expect("a number");
            let Outcome::Classes(found) = &result.outcome else {
                panic!("{result:?}");
            };
            let again = classes.insert(number, found[0].index);
            assert_eq!(again, None, "{number} is answered twice");
        }
        for (number, class) in classes {
            assert_eq!(u64::from(class), class_of(&tensor(number)), "of {number}");
        }
        client.close().await;
    });
    host.end();
}
