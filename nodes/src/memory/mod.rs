//! Registers: what is kept from step to step and is no parameter; and draws from them.

family! {
    register queue::Queue,
    register bank::Bank,
    register constant::Constant,
    batch draw::Draw,
}
