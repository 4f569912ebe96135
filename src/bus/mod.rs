//! South shell: one task owns each port.
