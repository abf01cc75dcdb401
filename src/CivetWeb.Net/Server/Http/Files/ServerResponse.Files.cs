using System;
using System.IO;
using System.Text;
using System.Threading.Tasks;
using CivetWeb.Net.Core;
using CivetWeb.Net.Interop;

namespace CivetWeb.Net;

// Files, which CivetWeb sends.
public sealed partial class ServerResponse
{
    /// <summary>
    /// Answers with a file: with Last-Modified, ETag and the type its name suggests, for conditional requests (RFC 9110,
    /// section 13), one range (section 14) and HEAD too. The headers set before are sent along.
    /// </summary>
    /// <param name="path">The file. Whatever it names is sent: never build it from what a client says.</param>
    /// <param name="contentType">Its media type; null: <see cref="ContentType"/>, or by the ending of its name.</param>
    /// <exception cref="FileNotFoundException">There is no such file, it cannot be read, or it is not a regular file.</exception>
    /// <exception cref="InvalidOperationException">Something has been written, or the status is not 200.</exception>
    /// <exception cref="IOException">The client is gone, or did not take it in time.</exception>
    /// <exception cref="ObjectDisposedException">The request has ended.</exception>
    public void SendFile(string path, string? contentType = null)
    {
        Func<int> send = PrepareFile(path, contentType);
        _thread.Run(send);
    }

    /// <summary>As <see cref="SendFile"/>, without blocking a thread of the pool; it throws the same, at once or through its task.</summary>
    /// <param name="path">The file.</param>
    /// <param name="contentType">Its media type; null: <see cref="ContentType"/>, or by the ending of its name.</param>
    public Task SendFileAsync(string path, string? contentType = null) => _thread.RunAsync(PrepareFile(path, contentType));

    private Func<int> PrepareFile(string path, string? contentType)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        _thread.ThrowIfOver();
        _writer.BeginFile();
        if (StatusCode != 200)
        {
            throw new InvalidOperationException("The status of a file's response is the server's to choose: 200, 206, 304 or 416.");
        }

        contentType ??= ContentType;
        byte[]? type = null;
        if (contentType is not null)
        {
            HeaderText.CheckValue(contentType, nameof(contentType));
            type = NativeText.ToBytes(contentType, nameof(contentType));
        }

        byte[] file = NativeText.ToBytes(Path.GetFullPath(path), nameof(path));
        var headers = new StringBuilder();
        foreach ((string name, string value) in Headers)
        {
            if (!string.Equals(name, "Content-Type", StringComparison.OrdinalIgnoreCase))
            {
                headers.Append(name).Append(": ").Append(value).Append("\r\n");
            }
        }

        byte[] lines = NativeText.ToBytes(headers.ToString(), nameof(Headers));
        IsAnswer = true;
        return () => SendFileNow(path, file, type, lines);
    }

    private int SendFileNow(string path, byte[] file, byte[]? type, byte[] headers)
    {
        if (!File.Exists(path))
        {
            throw NotFound(path);
        }

        _writer.SetKeepAlive();
        int status = _request.Connection.SendFile(file, type, headers, _request.Server.Options.WriteTimeoutMilliseconds);
        if (status == 404)
        {
            throw NotFound(path);
        }

        _statusCode = status;
        _writer.EndFile();
        return status;
    }

    private static FileNotFoundException NotFound(string path) => new($"There is no file that could be sent at '{path}'.", path);
}
