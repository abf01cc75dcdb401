using System;
using System.Runtime.InteropServices;
using System.Text;

namespace CivetWeb.Net.Interop;

/// <summary>
/// Subprotocol names in native memory. CivetWeb keeps the pointer of the accepted one (mg_request_info.
/// acceptedWebSocketSubprotocol) and copies nothing, so they live until mg_stop has returned.
/// </summary>
internal sealed unsafe class NativeStrings : IDisposable
{
    private readonly string[] _names;
    private readonly nint[] _pointers;

    public NativeStrings(string[] names)
    {
        _names = names;
        _pointers = new nint[names.Length];
        for (int i = 0; i < names.Length; i++)
        {
            int size = Encoding.UTF8.GetByteCount(names[i]);
            byte* memory = (byte*)NativeMemory.Alloc((nuint)size + 1);
            Encoding.UTF8.GetBytes(names[i], new Span<byte>(memory, size));
            memory[size] = 0;
            _pointers[i] = (nint)memory;
        }
    }

    /// <summary>Makes CivetWeb's handshake announce this name; false when it is not among them.</summary>
    public bool Accept(nint connection, string name)
    {
        int index = Array.IndexOf(_names, name);
        if (index < 0)
        {
            return false;
        }

        CwnMethods.cwn_accept_subprotocol((mg_connection*)connection, (byte*)_pointers[index]);
        return true;
    }

    public void Dispose()
    {
        for (int i = 0; i < _pointers.Length; i++)
        {
            NativeMemory.Free((void*)_pointers[i]);
            _pointers[i] = 0;
        }
    }
}
