using System;
using System.Runtime.InteropServices;
using System.Text;

namespace CivetWeb.Net.Interop;

/// <summary>
/// A text in native memory, for what CivetWeb keeps a pointer to and does not copy: the accepted subprotocol
/// (mg_request_info.acceptedWebSocketSubprotocol), until the connection has closed.
/// </summary>
internal sealed unsafe class NativeString
{
    private byte* _text;

    public NativeString(string text)
    {
        int size = Encoding.UTF8.GetByteCount(text);
        _text = (byte*)NativeMemory.Alloc((nuint)size + 1);
        Encoding.UTF8.GetBytes(text, new Span<byte>(_text, size));
        _text[size] = 0;
    }

    /// <summary>Makes CivetWeb's handshake announce it.</summary>
    public void AcceptAsSubprotocol(nint connection) => CwnMethods.cwn_accept_subprotocol((mg_connection*)connection, _text);

    /// <summary>When nothing native refers to it any more.</summary>
    public void Free()
    {
        NativeMemory.Free(_text);
        _text = null;
    }
}
