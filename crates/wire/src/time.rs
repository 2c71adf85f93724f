//! Instants on the wire.

use prost_types::Timestamp;

/// Microseconds since the epoch, UTC, to a protobuf timestamp.
pub fn to_timestamp(micros: i64) -> Timestamp {
    let nanos = i32::try_from(micros.rem_euclid(1_000_000) * 1000).unwrap_or_default();
    Timestamp { seconds: micros.div_euclid(1_000_000), nanos }
}

/// And back; what lies outside of i64 microseconds is clamped.
pub fn from_timestamp(timestamp: &Timestamp) -> i64 {
    timestamp.seconds.saturating_mul(1_000_000).saturating_add(i64::from(timestamp.nanos) / 1000)
}

#[cfg(test)]
mod tests {
    #[test]
    fn instants_round_trip_before_and_after_the_epoch() {
        for micros in [0, 1, -1, 1_760_000_000_123_456, -62_135_596_800_000_000] {
            assert_eq!(super::from_timestamp(&super::to_timestamp(micros)), micros);
        }
    }
}
