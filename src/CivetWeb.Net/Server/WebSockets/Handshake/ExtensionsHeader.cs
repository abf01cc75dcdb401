using System;
using System.Collections.Generic;
using System.Text;
using CivetWeb.Net.Core;

namespace CivetWeb.Net;

/// <summary>Reads Sec-WebSocket-Extensions (RFC 6455, section 9.1).</summary>
internal ref struct ExtensionsHeader
{
    private ReadOnlySpan<char> _rest;

    private ExtensionsHeader(string value) => _rest = value;

    /// <summary>The extensions in their order; null when the value is not well-formed.</summary>
    public static List<Extension>? TryParse(string value)
    {
        var header = new ExtensionsHeader(value);
        var extensions = new List<Extension>();
        do
        {
            header.SkipSpace();
            if (header._rest.IsEmpty || header._rest[0] == ',')
            {
                continue; // a list may have empty elements (RFC 9110, section 5.6.1)
            }

            if (header.ReadExtension() is not { } extension)
            {
                return null;
            }

            extensions.Add(extension);
        }
        while (header.Skip(','));
        return header._rest.IsEmpty ? extensions : null;
    }

    private Extension? ReadExtension()
    {
        if (ReadToken() is not { } name)
        {
            return null;
        }

        var parameters = new List<KeyValuePair<string, string?>>();
        while (Skip(';'))
        {
            if (ReadToken() is not { } parameter)
            {
                return null;
            }

            string? value = null;
            if (Skip('=') && (value = ReadValue()) is null)
            {
                return null;
            }

            parameters.Add(new(parameter, value));
        }

        return new Extension(name, parameters);
    }

    /// <summary>A token, or a quoted string that is a token when its quotes are taken off.</summary>
    private string? ReadValue()
    {
        SkipSpace();
        if (_rest.IsEmpty || _rest[0] != '"')
        {
            return ReadToken();
        }

        var value = new StringBuilder();
        int i = 1;
        for (; i < _rest.Length && _rest[i] != '"'; i++)
        {
            if (_rest[i] == '\\' && ++i == _rest.Length)
            {
                return null;
            }

            value.Append(_rest[i]);
        }

        if (i == _rest.Length || value.Length == 0 || value.ToString().AsSpan().ContainsAnyExcept(HeaderText.TokenCharacters))
        {
            return null;
        }

        _rest = _rest[(i + 1)..];
        return value.ToString();
    }

    private string? ReadToken()
    {
        SkipSpace();
        int length = _rest.IndexOfAnyExcept(HeaderText.TokenCharacters);
        length = length < 0 ? _rest.Length : length;
        if (length == 0)
        {
            return null;
        }

        string token = _rest[..length].ToString();
        _rest = _rest[length..];
        return token;
    }

    private bool Skip(char separator)
    {
        SkipSpace();
        if (_rest.IsEmpty || _rest[0] != separator)
        {
            return false;
        }

        _rest = _rest[1..];
        return true;
    }

    private void SkipSpace() => _rest = _rest.TrimStart(" \t");

    /// <summary>An extension and its parameters; a parameter without a value has null.</summary>
    public sealed record Extension(string Name, IReadOnlyList<KeyValuePair<string, string?>> Parameters);
}
