using System;
using System.Collections.Generic;
using System.Threading;

namespace CivetWeb.Net.Core;

/// <summary>
/// The WebSocket connections of a server: counted from their acceptance, in total and per address, to their end, so that
/// limits hold and stopping knows whom to wait for. The lock is never held around a native call.
/// </summary>
internal sealed class ConnectionTable(int maximum, int maximumPerAddress)
{
    private readonly object _gate = new();
    private readonly Dictionary<HttpConnection, string> _connections = []; // and the address each counts for
    private readonly Dictionary<string, int> _perAddress = [];
    private bool _stopping;
    private bool _cutting;

    public enum Admission
    {
        Accepted,
        Full,
        AddressFull,
        Stopping,
    }

    public int Count
    {
        get
        {
            lock (_gate)
            {
                return _connections.Count;
            }
        }
    }

    public bool IsStopping => Volatile.Read(ref _stopping);

    /// <summary>Whether the time for answers has run out: what becomes a WebSocket only now is cut at once.</summary>
    public bool IsCutting => Volatile.Read(ref _cutting);

    public Admission TryAdd(HttpConnection connection, string address)
    {
        lock (_gate)
        {
            if (_stopping)
            {
                return Admission.Stopping;
            }

            if (_connections.Count >= maximum)
            {
                return Admission.Full;
            }

            int sameAddress = _perAddress.GetValueOrDefault(address);
            if (sameAddress >= maximumPerAddress)
            {
                return Admission.AddressFull;
            }

            _perAddress[address] = sameAddress + 1;
            _connections.Add(connection, address);
            return Admission.Accepted;
        }
    }

    /// <summary>Once for every accepted connection; further calls, and those for others, do nothing.</summary>
    public void Remove(HttpConnection connection)
    {
        lock (_gate)
        {
            if (!_connections.Remove(connection, out string? address))
            {
                return;
            }

            int left = _perAddress[address] - 1;
            if (left == 0)
            {
                _perAddress.Remove(address);
            }
            else
            {
                _perAddress[address] = left;
            }

            if (_connections.Count == 0)
            {
                Monitor.PulseAll(_gate);
            }
        }
    }

    /// <summary>The connections there are now.</summary>
    public HttpConnection[] Snapshot()
    {
        lock (_gate)
        {
            return [.. _connections.Keys];
        }
    }

    /// <summary>Accepts no more; returns those there are.</summary>
    public HttpConnection[] BeginStopping()
    {
        lock (_gate)
        {
            _stopping = true;
            return [.. _connections.Keys];
        }
    }

    /// <summary>Waits for no answers any more; returns those there are.</summary>
    public HttpConnection[] BeginCutting()
    {
        lock (_gate)
        {
            _cutting = true;
            return [.. _connections.Keys];
        }
    }

    /// <summary>Waits until there are none; false when the time has run out or <paramref name="cancellationToken"/> is cancelled.</summary>
    public bool WaitUntilEmpty(TimeSpan timeout, CancellationToken cancellationToken = default)
    {
        using CancellationTokenRegistration registration = cancellationToken.UnsafeRegister(
            static gate =>
            {
                lock (gate!)
                {
                    Monitor.PulseAll(gate);
                }
            },
            _gate);
        long deadline = Environment.TickCount64 + (long)timeout.TotalMilliseconds;
        lock (_gate)
        {
            while (_connections.Count > 0)
            {
                long left = deadline - Environment.TickCount64;
                if (left <= 0 || cancellationToken.IsCancellationRequested)
                {
                    return false;
                }

                Monitor.Wait(_gate, (int)Math.Min(left, int.MaxValue));
            }

            return true;
        }
    }
}
