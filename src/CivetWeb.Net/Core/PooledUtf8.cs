using System;
using System.Buffers;
using System.Text;

namespace CivetWeb.Net.Core;

/// <summary>A string as UTF-8 for the length of a call, without garbage.</summary>
internal readonly ref struct PooledUtf8 : IDisposable
{
    private readonly byte[] _buffer;
    private readonly int _length;

    public PooledUtf8(string text)
    {
        _buffer = ArrayPool<byte>.Shared.Rent(Encoding.UTF8.GetMaxByteCount(text.Length));
        _length = Encoding.UTF8.GetBytes(text, _buffer);
    }

    public ReadOnlySpan<byte> Bytes => _buffer.AsSpan(0, _length);

    public void Dispose() => ArrayPool<byte>.Shared.Return(_buffer);
}
