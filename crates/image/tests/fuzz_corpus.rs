//! What the fuzz target for images holds for random input, held for every committed one: the
//! seeds, and what fuzzing has found. `docs/fuzzing.md` tells more.

#[path = "../../../fuzz/properties/image.rs"]
mod image;
#[path = "../../../fuzz/properties/inputs.rs"]
mod inputs;
#[path = "../../../fuzz/properties/sentence.rs"]
mod sentence;

#[test]
fn every_committed_image_holds_its_property() {
    inputs::hold_all("image", image::hold);
}
