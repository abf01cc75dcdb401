using System;
using System.Threading;
using System.Threading.Tasks;
using CivetWeb.Net.Core;

namespace CivetWeb.Net;

/// <summary>What holds for the WebSockets of one path: its own options, else those of the server, else the defaults.</summary>
internal sealed record WebSocketSettings
{
    public required string[] Subprotocols { get; init; }

    public required OriginPolicy Origins { get; init; }

    public required Func<WebSocketHandshake, Task>? OnHandshake { get; init; }

    public required TimeSpan HandshakeTimeout { get; init; }

    public required int? MaxConnections { get; init; }

    public required int MaxMessageSize { get; init; }

    public required TimeSpan KeepAliveInterval { get; init; }

    public required TimeSpan KeepAliveTimeout { get; init; }

    public required TimeSpan FrameTimeout { get; init; }

    public required TimeSpan SendTimeout { get; init; }

    public required TimeSpan CloseTimeout { get; init; }

    public required DangerousDeflateOptions? Deflate { get; init; }

    /// <summary>Both must have been checked, and must not change any more.</summary>
    public static WebSocketSettings Create(WebSocketEndpointOptions endpoint, WebSocketEndpointOptions server) => new()
    {
        Subprotocols = [.. endpoint.Subprotocols ?? server.Subprotocols ?? []],
        Origins = new OriginPolicy(endpoint.AllowedOrigins ?? server.AllowedOrigins),
        OnHandshake = endpoint.OnHandshake ?? server.OnHandshake,
        HandshakeTimeout = endpoint.HandshakeTimeout ?? server.HandshakeTimeout ?? TimeSpan.FromSeconds(10),
        MaxConnections = endpoint.MaxConnections ?? server.MaxConnections,
        MaxMessageSize = endpoint.MaxMessageSize ?? server.MaxMessageSize ?? 16 * 1024 * 1024,
        KeepAliveInterval = endpoint.KeepAliveInterval ?? server.KeepAliveInterval ?? TimeSpan.FromSeconds(30),
        KeepAliveTimeout = endpoint.KeepAliveTimeout ?? server.KeepAliveTimeout ?? TimeSpan.FromSeconds(20),
        FrameTimeout = endpoint.FrameTimeout ?? server.FrameTimeout ?? TimeSpan.FromSeconds(20),
        SendTimeout = endpoint.SendTimeout ?? server.SendTimeout ?? TimeSpan.FromSeconds(10),
        CloseTimeout = endpoint.CloseTimeout ?? server.CloseTimeout ?? TimeSpan.FromSeconds(5),
        Deflate = (endpoint.DangerousDeflate ?? server.DangerousDeflate) is { Enabled: true } deflate ? deflate : null,
    };

    /// <param name="options">What has been set.</param>
    /// <param name="prefix">Goes before the names of options in messages.</param>
    /// <param name="errors">Gets one message for each invalid option: its name, its value and what is allowed.</param>
    public static void Check(WebSocketEndpointOptions options, string prefix, OptionErrors errors)
    {
        foreach (string subprotocol in options.Subprotocols ?? [])
        {
            if (!HeaderText.IsToken(subprotocol ?? ""))
            {
                errors.Add(
                    $"Option '{prefix}{nameof(options.Subprotocols)}' contains '{subprotocol}', but a subprotocol must be a token of RFC 9110: no spaces, commas or line breaks.");
            }
        }

        foreach (string origin in options.AllowedOrigins ?? [])
        {
            if (!OriginPolicy.IsEntry(origin))
            {
                errors.Add($"Option '{prefix}{nameof(options.AllowedOrigins)}' contains '{origin}', but an origin must be {OriginPolicy.Allowed}.");
            }
        }

        CheckNumber(options.MaxConnections, prefix, nameof(options.MaxConnections), 1, int.MaxValue, errors);
        CheckNumber(options.MaxMessageSize, prefix, nameof(options.MaxMessageSize), 1, int.MaxValue, errors);
        CheckTime(options.HandshakeTimeout, prefix, nameof(options.HandshakeTimeout), errors);
        CheckTime(options.KeepAliveInterval, prefix, nameof(options.KeepAliveInterval), errors);
        CheckTime(options.KeepAliveTimeout, prefix, nameof(options.KeepAliveTimeout), errors);
        CheckTime(options.FrameTimeout, prefix, nameof(options.FrameTimeout), errors);
        CheckTime(options.SendTimeout, prefix, nameof(options.SendTimeout), errors);
        CheckTime(options.CloseTimeout, prefix, nameof(options.CloseTimeout), errors);
        if (options.DangerousDeflate is { } deflate)
        {
            string inner = $"{prefix}{nameof(options.DangerousDeflate)}.";
            CheckNumber(deflate.ClientMaxWindowBits, inner, nameof(deflate.ClientMaxWindowBits), DeflateOffer.MinWindowBits, DeflateOffer.MaxWindowBits, errors);
            CheckNumber(deflate.ServerMaxWindowBits, inner, nameof(deflate.ServerMaxWindowBits), DeflateOffer.MinWindowBits, DeflateOffer.MaxWindowBits, errors);
        }
    }

    private static void CheckNumber(int? value, string prefix, string name, int lowest, int highest, OptionErrors errors)
    {
        if (value < lowest || value > highest)
        {
            errors.Add($"Option '{prefix}{name}' is {value}, but it must be from {lowest} to {highest}.");
        }
    }

    private static void CheckTime(TimeSpan? value, string prefix, string name, OptionErrors errors)
    {
        if (value is { } time && time != Timeout.InfiniteTimeSpan && time.TotalMilliseconds is < 1 or > int.MaxValue)
        {
            errors.Add($"Option '{prefix}{name}' is {value}, but it must be from 1 ms to {int.MaxValue} ms, or Timeout.InfiniteTimeSpan for no limit.");
        }
    }
}
