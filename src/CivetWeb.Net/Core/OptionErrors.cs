using System;
using System.Collections.Generic;

namespace CivetWeb.Net.Core;

/// <summary>Collects everything that is wrong with a set of options, so that one exception lists it all.</summary>
internal sealed class OptionErrors
{
    private readonly List<string> _messages = [];

    /// <summary>Whether nothing has been wrong so far.</summary>
    public bool IsEmpty => _messages.Count == 0;

    public void Add(string message) => _messages.Add(message);

    /// <summary>Runs a check that throws, and keeps what it says.</summary>
    public void Collect(Action check)
    {
        try
        {
            check();
        }
        catch (ArgumentException e)
        {
            Add(e.Message);
        }
    }

    /// <summary>Reads a value; the default of its type when that throws, of which the message is kept.</summary>
    public T? Collect<T>(Func<T> read)
    {
        try
        {
            return read();
        }
        catch (ArgumentException e)
        {
            Add(e.Message);
            return default;
        }
    }

    /// <param name="parameterName">The parameter of the public method that took the options; null when it has none.</param>
    /// <exception cref="ArgumentException">Something was wrong; one line for each mistake.</exception>
    public void ThrowIfAny(string? parameterName = null)
    {
        if (_messages.Count > 0)
        {
            throw new ArgumentException(
                _messages.Count == 1 ? _messages[0] : $"{_messages.Count} options are not valid:\n- {string.Join("\n- ", _messages)}", parameterName);
        }
    }
}
