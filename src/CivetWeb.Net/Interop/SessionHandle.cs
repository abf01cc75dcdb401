using System;
using System.Runtime.InteropServices;

namespace CivetWeb.Net.Interop;

/// <summary>
/// One native session. Every call holds a reference, so that no thread can use it after its memory is gone; a
/// session whose connection has ended answers every call with "closed".
/// </summary>
internal sealed unsafe class SessionHandle : SafeHandle
{
    public SessionHandle()
        : base(0, ownsHandle: true)
    {
    }

    public override bool IsInvalid => handle == 0;

    /// <summary>Creates the session of an upgraded connection, in its ready callback; null when out of memory or descriptors.</summary>
    public static SessionHandle? TryCreate(nint connection, in cwn_session_options options)
    {
        var result = new SessionHandle();
        fixed (cwn_session_options* pointer = &options)
        {
            result.SetHandle(CwnMethods.cwn_session_create((mg_connection*)connection, pointer));
        }

        if (result.IsInvalid)
        {
            result.Dispose();
            return null;
        }

        return result;
    }

    /// <summary>Sessions alive in the process.</summary>
    public static long AliveCount => CwnMethods.cwn_session_count();

    /// <summary>Runs the session on this thread until the connection ends; <paramref name="userData"/> reaches the data trampoline.</summary>
    public void Run(nint userData)
    {
        bool held = false;
        try
        {
            DangerousAddRef(ref held);
            CwnMethods.cwn_session_run(handle, &Trampolines.WebSocketData, (void*)userData);
        }
        finally
        {
            Release(held);
        }
    }

    /// <summary>Sends one frame; the number of payload bytes, or -1. <paramref name="wait"/>: for a slow peer, rather than queueing.</summary>
    public int Send(int opcode, ReadOnlySpan<byte> data, bool wait)
    {
        if (!TryHold())
        {
            return -1;
        }

        try
        {
            fixed (byte* pointer = data)
            {
                return wait
                    ? CwnMethods.cwn_session_send(handle, opcode, pointer, (nuint)data.Length)
                    : CwnMethods.cwn_session_post(handle, opcode, pointer, (nuint)data.Length);
            }
        }
        finally
        {
            DangerousRelease();
        }
    }

    /// <summary>Sends a Close frame; 0, or -1 when there is nothing left to close. Code 0: a frame without code.</summary>
    public int Close(int code, ReadOnlySpan<byte> reason)
    {
        if (!TryHold())
        {
            return -1;
        }

        try
        {
            fixed (byte* pointer = reason)
            {
                return CwnMethods.cwn_session_close(handle, code, pointer, (nuint)reason.Length);
            }
        }
        finally
        {
            DangerousRelease();
        }
    }

    /// <summary>Asks the session's own thread to close; never blocks.</summary>
    public void RequestClose(int code)
    {
        if (TryHold())
        {
            CwnMethods.cwn_session_request_close(handle, code);
            DangerousRelease();
        }
    }

    /// <summary>Cuts the connection; never blocks.</summary>
    public void Abort()
    {
        if (TryHold())
        {
            CwnMethods.cwn_session_abort(handle);
            DangerousRelease();
        }
    }

    /// <summary>Whether frames can still be sent.</summary>
    public bool IsOpen
    {
        get
        {
            if (!TryHold())
            {
                return false;
            }

            bool open = CwnMethods.cwn_session_is_open(handle) != 0;
            DangerousRelease();
            return open;
        }
    }

    /// <summary>Makes the session a transport of bytes; on the connection's own thread.</summary>
    /// <param name="turns">The pin of an <see cref="ISessionTurns"/>, valid until <see cref="End"/> has returned.</param>
    public bool Begin(nint turns)
    {
        if (!TryHold())
        {
            return false;
        }

        bool begun = CwnMethods.cwn_session_begin(handle, &Trampolines.SessionTurn, (void*)turns) != 0;
        DangerousRelease();
        return begun;
    }

    /// <summary>Bytes read, 0 at the end, -1 when nothing is there, -2 when the connection is lost or over. Never waits.</summary>
    public int Read(Span<byte> buffer)
    {
        if (!TryHold())
        {
            return -2;
        }

        fixed (byte* pointer = buffer)
        {
            int n = CwnMethods.cwn_session_read(handle, pointer, (nuint)buffer.Length);
            DangerousRelease();
            return n;
        }
    }

    /// <summary>How many bytes were taken; -1 when the connection is lost or over. Never waits.</summary>
    /// <param name="data">The bytes.</param>
    /// <param name="gather">On the connection's own thread they may wait for its next <see cref="Wait"/>.</param>
    public int Write(ReadOnlySpan<byte> data, bool gather)
    {
        if (!TryHold())
        {
            return -1;
        }

        fixed (byte* pointer = data)
        {
            int n = CwnMethods.cwn_session_write(handle, pointer, (nuint)data.Length, gather ? 1 : 0);
            DangerousRelease();
            return n;
        }
    }

    /// <summary>
    /// Sends what was gathered and waits; on the connection's own thread. With <see cref="SessionEvents.CanRead"/> alone, the turns
    /// given to <see cref="Begin"/> may run on another thread meanwhile.
    /// </summary>
    /// <param name="events">What to wait for besides a wake and the loss of the connection.</param>
    /// <param name="timeout">In milliseconds; -1: none.</param>
    public SessionEvents Wait(SessionEvents events, int timeout)
    {
        if (!TryHold())
        {
            return SessionEvents.HungUp;
        }

        int result = CwnMethods.cwn_session_wait(handle, (int)events, timeout);
        DangerousRelease();
        return (SessionEvents)result;
    }

    /// <summary>Ends a <see cref="Wait"/>; never blocks.</summary>
    public void Wake()
    {
        if (TryHold())
        {
            CwnMethods.cwn_session_wake(handle);
            DangerousRelease();
        }
    }

    /// <summary>Sends the rest, waits for the peer to hang up, forgets the connection; on the connection's own thread.</summary>
    public void End(int lingerMilliseconds)
    {
        if (TryHold())
        {
            CwnMethods.cwn_session_end(handle, lingerMilliseconds);
            DangerousRelease();
        }
    }

    /// <summary>Both close codes and the peer's reason, as far as they are known.</summary>
    public cwn_session_info GetInfo()
    {
        var info = new cwn_session_info { size = (uint)sizeof(cwn_session_info) };
        if (TryHold())
        {
            CwnMethods.cwn_session_get_info(handle, &info);
            DangerousRelease();
        }

        return info;
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle()
    {
        CwnMethods.cwn_session_release(handle);
        return true;
    }

    /// <summary>A reference for one call; false when the handle has been disposed of meanwhile.</summary>
    private bool TryHold()
    {
        try
        {
            bool held = false;
            DangerousAddRef(ref held);
            return held;
        }
        catch (ObjectDisposedException)
        {
            return false;
        }
    }

    private void Release(bool held)
    {
        if (held)
        {
            DangerousRelease();
        }
    }
}

/// <summary>What runs when input has come while the connection's own thread waits for nothing else.</summary>
internal interface ISessionTurns
{
    /// <summary>One turn; never two at a time, and with all the rights of the own thread, which waits.</summary>
    SessionTurn RunTurn();
}

/// <summary>What a turn ends with, as native/include/civetweb_net.h numbers it.</summary>
internal enum SessionTurn
{
    /// <summary>The own thread's wait has to end.</summary>
    Own = 0,

    /// <summary>All that was there has been read.</summary>
    Done = 1,

    /// <summary>There may be more.</summary>
    Again = 2,

    /// <summary>Nobody reads now, and a wake will come before somebody does.</summary>
    Unread = 3,
}

/// <summary>The events of <see cref="SessionHandle.Wait"/>, as native/include/civetweb_net.h numbers them.</summary>
[Flags]
internal enum SessionEvents
{
    None = 0,
    CanRead = 1,
    CanWrite = 2,
    Woken = 4,
    HungUp = 8,
}
