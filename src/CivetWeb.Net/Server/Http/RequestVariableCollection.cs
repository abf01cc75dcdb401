using System;
using System.Collections;
using System.Collections.Generic;
using System.Net;

namespace CivetWeb.Net;

/// <summary>Decoded variables of a query or a form, in their order; case matters.</summary>
public sealed class RequestVariableCollection : IReadOnlyCollection<KeyValuePair<string, string>>
{
    private readonly List<KeyValuePair<string, string>> _variables = [];

    internal RequestVariableCollection(List<KeyValuePair<string, string>> variables) => _variables = variables;

    internal RequestVariableCollection(string encoded)
    {
        foreach (Range range in encoded.AsSpan().Split('&'))
        {
            ReadOnlySpan<char> part = encoded.AsSpan(range);
            if (part.IsEmpty)
            {
                continue;
            }

            int equals = part.IndexOf('=');
            ReadOnlySpan<char> name = equals < 0 ? part : part[..equals];
            ReadOnlySpan<char> value = equals < 0 ? "" : part[(equals + 1)..];
            _variables.Add(new(WebUtility.UrlDecode(name.ToString()), WebUtility.UrlDecode(value.ToString())));
        }
    }

    /// <inheritdoc/>
    public int Count => _variables.Count;

    /// <summary>The value of the first variable of that name, empty for one without =; null when there is none.</summary>
    /// <param name="name">The variable's name.</param>
    public string? this[string name]
    {
        get
        {
            foreach ((string key, string value) in _variables)
            {
                if (key == name)
                {
                    return value;
                }
            }

            return null;
        }
    }

    /// <summary>The values of all variables of that name.</summary>
    /// <param name="name">The variable's name.</param>
    public IEnumerable<string> GetValues(string name)
    {
        foreach ((string key, string value) in _variables)
        {
            if (key == name)
            {
                yield return value;
            }
        }
    }

    /// <inheritdoc/>
    public IEnumerator<KeyValuePair<string, string>> GetEnumerator() => _variables.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
