using System.Collections.Generic;

namespace CivetWeb.Net.Core;

/// <summary>What CivetWeb logs while a server starts: the only place where it says why a port cannot be opened.</summary>
internal sealed class StartupLog
{
    private const int MaxMessages = 20;
    private readonly object _gate = new();
    private List<string>? _messages = [];

    public void Add(string message)
    {
        lock (_gate)
        {
            if (_messages is { Count: < MaxMessages })
            {
                _messages.Add(message);
            }
        }
    }

    /// <summary>The server runs: from now on messages are not kept.</summary>
    public void End()
    {
        lock (_gate)
        {
            _messages = null;
        }
    }

    public override string ToString()
    {
        lock (_gate)
        {
            return string.Join("; ", _messages ?? []);
        }
    }
}
