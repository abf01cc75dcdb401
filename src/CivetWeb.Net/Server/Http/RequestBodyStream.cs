using System;
using System.IO;
using System.Threading;
using System.Threading.Tasks;

namespace CivetWeb.Net;

/// <summary>A request's body as a stream: read once, from its beginning.</summary>
internal sealed class RequestBodyStream(RequestBody body, RequestThread thread) : Stream
{
    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException("The body of a request cannot be sought in; ServerRequest.ContentLength is its length.");

    public override long Position
    {
        get => throw new NotSupportedException("The body of a request cannot be sought in.");
        set => throw new NotSupportedException("The body of a request cannot be sought in.");
    }

    public override int Read(byte[] buffer, int offset, int count)
    {
        ValidateBufferArguments(buffer, offset, count);
        return thread.Run(() => body.Read(buffer.AsSpan(offset, count)));
    }

    public override int Read(Span<byte> buffer)
    {
        byte[] array = new byte[Math.Min(buffer.Length, 16 * 1024)]; // the read may have to be done by another thread
        int n = Read(array, 0, array.Length);
        array.AsSpan(0, n).CopyTo(buffer);
        return n;
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken)
    {
        ValidateBufferArguments(buffer, offset, count);
        return ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();
    }

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
        cancellationToken.IsCancellationRequested
            ? ValueTask.FromCanceled<int>(cancellationToken)
            : new ValueTask<int>(thread.RunAsync(() => body.Read(buffer.Span)));

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException("The body of a request cannot be sought in.");

    public override void SetLength(long value) => throw new NotSupportedException("The body of a request can only be read.");

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException("The body of a request can only be read.");
}
