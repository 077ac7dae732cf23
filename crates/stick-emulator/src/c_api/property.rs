//! `ov_property.h`: the names of properties, which are variables in this library.

use std::ffi::{CStr, c_char};

/// `const char*`
#[repr(transparent)]
struct Name(*const c_char);

// SAFETY: what it points to is a constant.
unsafe impl Sync for Name {}

impl Name {
    const fn new(name: &'static CStr) -> Self {
        Self(name.as_ptr())
    }
}

macro_rules! names {
    ($($variable:ident = $name:literal,)+) => {$(
        #[unsafe(no_mangle)]
        static $variable: Name = Name::new($name);
    )+};
}

names! {
    ov_property_key_supported_properties = c"SUPPORTED_PROPERTIES",
    ov_property_key_available_devices = c"AVAILABLE_DEVICES",
    ov_property_key_optimal_number_of_infer_requests = c"OPTIMAL_NUMBER_OF_INFER_REQUESTS",
    ov_property_key_range_for_async_infer_requests = c"RANGE_FOR_ASYNC_INFER_REQUESTS",
    ov_property_key_range_for_streams = c"RANGE_FOR_STREAMS",
    ov_property_key_device_full_name = c"FULL_DEVICE_NAME",
    ov_property_key_device_capabilities = c"OPTIMIZATION_CAPABILITIES",
    ov_property_key_model_name = c"NETWORK_NAME",
    ov_property_key_optimal_batch_size = c"OPTIMAL_BATCH_SIZE",
    ov_property_key_max_batch_size = c"MAX_BATCH_SIZE",
    ov_property_key_cache_dir = c"CACHE_DIR",
    ov_property_key_num_streams = c"NUM_STREAMS",
    ov_property_key_affinity = c"AFFINITY",
    ov_property_key_inference_num_threads = c"INFERENCE_NUM_THREADS",
    ov_property_key_hint_performance_mode = c"PERFORMANCE_HINT",
    ov_property_key_hint_inference_precision = c"INFERENCE_PRECISION_HINT",
    ov_property_key_hint_num_requests = c"PERFORMANCE_HINT_NUM_REQUESTS",
    ov_property_key_log_level = c"LOG_LEVEL",
    ov_property_key_hint_model_priority = c"MODEL_PRIORITY",
    ov_property_key_enable_profiling = c"PERF_COUNT",
    ov_property_key_device_priorities = c"MULTI_DEVICE_PRIORITIES",
}
