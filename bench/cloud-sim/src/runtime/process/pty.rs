//! A pseudo terminal. Its master is an ordinary file to tokio: a read waits on a blocking thread and ends when the last
//! holder of the other side is gone, which the kernel reports as EIO.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::termios::Winsize;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::runtime::TerminalSize;

/// A new terminal of the container's own devpts, so that its name exists inside: our side and the command's side.
pub(super) fn open(container: u32) -> io::Result<(File, File)> {
    let dir = format!("/proc/{container}/root/dev/pts");
    let no_ctty = i32::try_from(OFlags::NOCTTY.bits()).unwrap_or(0);
    let open = |path: String| OpenOptions::new().read(true).write(true).custom_flags(no_ctty).open(path);
    let master = open(format!("{dir}/ptmx"))?;
    rustix::pty::unlockpt(&master)?;
    let name = rustix::pty::ptsname(&master, Vec::new())?;
    let number = name.to_str().ok().and_then(|name| name.rsplit('/').next());
    let number = number.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
    let slave = open(format!("{dir}/{number}"))?;
    Ok((master, slave))
}

/// The master as a reader, a writer and a handle for sizes.
pub(super) fn halves(master: File) -> io::Result<(Reader, Writer, File)> {
    let (write, size) = (master.try_clone()?, master.try_clone()?);
    Ok((Reader(tokio::fs::File::from_std(master)), Writer(tokio::fs::File::from_std(write)), size))
}

/// Tells the terminal its size.
pub(super) fn resize(master: &File, size: TerminalSize) {
    let size = Winsize { ws_row: size.height, ws_col: size.width, ws_xpixel: 0, ws_ypixel: 0 };
    let _ = rustix::termios::tcsetwinsize(master, size);
}

/// What the command prints.
pub(super) struct Reader(tokio::fs::File);

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.0).poll_read(context, buffer)) {
            Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => Poll::Ready(Ok(())),
            other => Poll::Ready(other),
        }
    }
}

/// What the user types.
pub(super) struct Writer(tokio::fs::File);

impl AsyncWrite for Writer {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    /// A terminal has no half-close: its user types the end-of-file character.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = ready!(Pin::new(&mut self.0).poll_write(context, b"\x04"))?;
        Pin::new(&mut self.0).poll_flush(context)
    }
}
