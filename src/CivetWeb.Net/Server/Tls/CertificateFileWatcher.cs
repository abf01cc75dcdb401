using System;
using System.IO;
using System.Linq;
using System.Threading;
using CivetWeb.Net.Interop;

namespace CivetWeb.Net;

/// <summary>
/// Looks at files from time to time and tells when their time or size has changed. A FileSystemWatcher would miss what
/// certificate tools do: links that come to point elsewhere, directories replaced whole, network file systems.
/// </summary>
internal sealed class CertificateFileWatcher : IDisposable
{
    private readonly Lock _gate = new();
    private readonly string[] _paths;
    private (DateTime Time, long Size)[] _seen;
    private Timer? _timer;
    private bool _isDisposed;

    /// <summary>Remembers the files as they are: create it before reading them, so that no change falls in between.</summary>
    public CertificateFileWatcher(params string[] paths)
    {
        _paths = paths;
        _seen = Look();
    }

    /// <summary>Begins to look. <paramref name="changed"/> runs on a thread of the pool, one call at a time; it must not throw.</summary>
    public void Start(TimeSpan interval, Action changed)
    {
        lock (_gate)
        {
            _timer = new Timer(_ => Tick(interval, changed));
            _timer.Change(interval, Timeout.InfiniteTimeSpan);
        }
    }

    /// <summary>No call begins after this; one may still be running.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _isDisposed = true;
            _timer?.Dispose();
        }
    }

    private void Tick(TimeSpan interval, Action changed)
    {
        (DateTime, long)[] now = Look();
        if (!now.SequenceEqual(_seen))
        {
            // What changes while it is being read differs from this at the next look.
            _seen = now;
            changed();
        }

        lock (_gate)
        {
            if (!_isDisposed)
            {
                _timer!.Change(interval, Timeout.InfiniteTimeSpan);
            }
        }
    }

    private (DateTime Time, long Size)[] Look() => [.. _paths.Select(Look)];

    /// <summary>Of the open file: it is the one a link leads to, and it is there and may be read.</summary>
    private static (DateTime Time, long Size) Look(string path)
    {
        if (SocketFile.IsRegular(path) != true)
        {
            return (default, -1); // a pipe would keep the thread
        }

        try
        {
            using var file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            return (File.GetLastWriteTimeUtc(file), RandomAccess.GetLength(file));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            return (default, -1);
        }
    }
}
