//! What whole flows of datagrams show.
