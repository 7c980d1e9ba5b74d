//! The corridor, in the order that a push walks it. Each module binds one
//! decision of `decide` to the doors that it sees and acts through.
