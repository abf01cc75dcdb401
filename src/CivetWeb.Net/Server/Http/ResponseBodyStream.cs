using System;
using System.IO;
using System.Threading;
using System.Threading.Tasks;

namespace CivetWeb.Net;

/// <summary>A response's body as a stream.</summary>
internal sealed class ResponseBodyStream(ServerResponse response) : Stream
{
    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException("The body of a response cannot be sought in.");

    public override long Position
    {
        get => throw new NotSupportedException("The body of a response cannot be sought in.");
        set => throw new NotSupportedException("The body of a response cannot be sought in.");
    }

    public override void Write(byte[] buffer, int offset, int count)
    {
        ValidateBufferArguments(buffer, offset, count);
        response.Write(buffer.AsSpan(offset, count));
    }

    public override void Write(ReadOnlySpan<byte> buffer) => response.Write(buffer);

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken)
    {
        ValidateBufferArguments(buffer, offset, count);
        return response.WriteAsync(buffer.AsMemory(offset, count), cancellationToken);
    }

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) =>
        new(response.WriteAsync(buffer, cancellationToken));

    public override void Flush() => response.Flush();

    public override Task FlushAsync(CancellationToken cancellationToken) => response.FlushAsync(cancellationToken);

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException("The body of a response can only be written.");

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException("The body of a response cannot be sought in.");

    public override void SetLength(long value) => throw new NotSupportedException("ServerResponse.ContentLength is the length of the body.");
}
