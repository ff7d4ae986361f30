//! [`Channel`]: framed values with descriptors over a stream socket, between processes of one build.
//!
//! ```text
//! frame: length (u32, little-endian) | value (postcard)      descriptors travel with the first byte of the length
//! ```

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, Shutdown, SocketFlags, SocketType,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The longest frame that is taken, in bytes: more than any argument list, environment and script together.
const LONGEST: usize = 64 << 20;

/// The most descriptors that one frame carries (SCM_MAX_FD of the kernel).
pub const MOST_DESCRIPTORS: usize = 253;

/// Why a frame could not be sent or received.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The other end is gone.
    #[error("the other end of the pipe is gone")]
    Closed,
    /// The operating system refused.
    #[error("{act} on a pipe between processes: {source}")]
    Io {
        /// `send`, `receive`, …
        act: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A frame is not what was to come.
    #[error("a frame of {length} bytes on a pipe between processes makes no sense")]
    Malformed {
        /// Its length.
        length: usize,
    },
}

/// One end of a pipe that carries values and descriptors.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
}

impl Channel {
    /// Returns both ends of a new channel.
    ///
    /// # Errors
    /// [`ChannelError::Io`].
    pub fn pair() -> Result<(Self, Self), ChannelError> {
        let (one, other) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .map_err(|errno| failed("make", errno))?;
        Ok((Self { socket: one }, Self { socket: other }))
    }

    /// Returns the channel over `socket`, a connected stream socket.
    pub fn new(socket: OwnedFd) -> Self {
        Self { socket }
    }

    /// Returns the channel that this process was started with as standard input, and puts /dev/null in its place.
    ///
    /// # Errors
    /// [`ChannelError::Io`].
    pub fn from_standard_input() -> Result<Self, ChannelError> {
        let take = || {
            // Above the standard streams, so that setting these does not end the channel.
            let socket = rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3)?;
            nix::unistd::dup2_stdin(std::fs::File::open("/dev/null")?)?;
            Ok(Self { socket })
        };
        take().map_err(|source| ChannelError::Io { act: "take", source })
    }

    /// Returns the socket.
    pub fn into_socket(self) -> OwnedFd {
        self.socket
    }

    /// Says that nothing more will be sent; receiving goes on.
    pub fn finish_sending(&self) {
        if rustix::net::shutdown(&self.socket, Shutdown::Write).is_err() {
            // The other end is gone already, which says the same.
        }
    }

    /// Sends `value` with `descriptors`.
    ///
    /// # Errors
    /// [`ChannelError::Closed`], [`ChannelError::Io`]; [`ChannelError::Malformed`] if the value is too long.
    pub fn send<T: Serialize>(&self, value: &T, descriptors: &[BorrowedFd<'_>]) -> Result<(), ChannelError> {
        let body = postcard::to_stdvec(value).map_err(|_| ChannelError::Malformed { length: 0 })?;
        let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= LONGEST);
        let length = length.ok_or(ChannelError::Malformed { length: body.len() })?;
        let mut frame = length.to_le_bytes().to_vec();
        frame.extend_from_slice(&body);
        let sent = self.send_some(&frame, descriptors)?;
        self.send_all(&frame[sent..])
    }

    fn send_all(&self, mut bytes: &[u8]) -> Result<(), ChannelError> {
        while !bytes.is_empty() {
            let sent = self.send_some(bytes, &[])?;
            bytes = &bytes[sent..];
        }
        Ok(())
    }

    fn send_some(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<usize, ChannelError> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(ChannelError::Malformed { length: bytes.len() });
        }
        loop {
            match rustix::net::sendmsg(&self.socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL) {
                Err(Errno::INTR) => {}
                Err(Errno::PIPE | Errno::CONNRESET) => return Err(ChannelError::Closed),
                Err(errno) => return Err(failed("send", errno)),
                Ok(sent) => return Ok(sent),
            }
        }
    }

    /// Receives a value and the descriptors that come with it.
    ///
    /// # Errors
    /// [`ChannelError::Closed`] at the end; [`ChannelError::Io`]; [`ChannelError::Malformed`].
    pub fn receive<T: DeserializeOwned>(&self) -> Result<(T, Vec<OwnedFd>), ChannelError> {
        let mut descriptors = Vec::new();
        let mut length = [0; 4];
        self.receive_exactly(&mut length, &mut descriptors)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > LONGEST {
            return Err(ChannelError::Malformed { length });
        }
        let mut body = vec![0; length];
        self.receive_exactly(&mut body, &mut descriptors)?;
        let value = postcard::from_bytes(&body).map_err(|_| ChannelError::Malformed { length })?;
        Ok((value, descriptors))
    }

    fn receive_exactly(&self, buffer: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> Result<(), ChannelError> {
        let mut at = 0;
        while at < buffer.len() {
            match self.receive_some(&mut buffer[at..], descriptors)? {
                0 => return Err(ChannelError::Closed),
                count => at += count,
            }
        }
        Ok(())
    }

    fn receive_some(&self, buffer: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> Result<usize, ChannelError> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = loop {
            match rustix::net::recvmsg(&self.socket, &mut [IoSliceMut::new(buffer)], &mut control, flags) {
                Err(Errno::INTR) => {}
                Err(Errno::CONNRESET) => return Err(ChannelError::Closed),
                other => break other.map_err(|errno| failed("receive", errno))?,
            }
        };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        Ok(received.bytes)
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn failed(act: &'static str, errno: Errno) -> ChannelError {
    ChannelError::Io { act, source: errno.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn values_and_descriptors_arrive_together() {
        let (one, other) = Channel::pair().expect("a pair");
        let (reader, mut writer) = io::pipe().expect("a pipe");
        let long = vec![7u8; 3 << 20];
        std::thread::scope(|scope| {
            scope.spawn(|| {
                one.send(&"first", &[reader.as_fd()]).expect("sent");
                one.send(&long, &[]).expect("sent");
                drop(one);
            });
            let (text, mut descriptors) = other.receive::<String>().expect("received");
            assert_eq!((text.as_str(), descriptors.len()), ("first", 1));
            let (bytes, none) = other.receive::<Vec<u8>>().expect("received");
            assert_eq!((bytes.len(), none.len()), (3 << 20, 0));
            writer.write_all(b"x").expect("written");
            let mut byte = [0];
            std::fs::File::from(descriptors.remove(0)).read_exact(&mut byte).expect("read");
            assert_eq!(&byte, b"x");
        });
        assert!(matches!(other.receive::<String>(), Err(ChannelError::Closed)));
    }

    #[test]
    fn nonsense_is_refused() {
        let (one, other) = Channel::pair().expect("a pair");
        let mut socket = std::os::unix::net::UnixStream::from(one.into_socket());
        socket.write_all(&u32::MAX.to_le_bytes()).expect("written");
        assert!(matches!(other.receive::<String>(), Err(ChannelError::Malformed { length: 0xffff_ffff })));
    }
}
