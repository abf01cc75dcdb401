using System;
using System.Net;
using System.Net.Sockets;

namespace CivetWeb.Net.EchoServer;

/// <summary>Explains why the server could not start, in one line that says what to do.</summary>
internal static class StartFailure
{
    public static string Explain(Exception failure, CommandLine options) => failure switch
    {
        SocketException { SocketErrorCode: SocketError.AddressAlreadyInUse } =>
            $"Port {options.Port} is in use by another program. Choose another with --port N, or any free one with --port 0.",
        SocketException { SocketErrorCode: SocketError.AccessDenied } =>
            $"Port {options.Port} cannot be used: permission denied. Ports below 1024 need root or CAP_NET_BIND_SERVICE; choose a higher one with --port N.",
        SocketException { SocketErrorCode: SocketError.AddressNotAvailable } => NoAddress(options),
        CivetWebException or ArgumentException when !options.ListensEverywhere && !IsAddress(options.Host) => NoAddress(options),
        _ => failure.Message.ReplaceLineEndings(" "),
    };

    // .NET also reads 127.1, CivetWeb does not.
    private static bool IsAddress(string host) =>
        IPAddress.TryParse(host, out IPAddress? address) && (address.AddressFamily == AddressFamily.InterNetworkV6 || address.ToString() == host);

    private static string NoAddress(CommandLine options) =>
        $"--host is '{options.Host}', but this machine has no such address. 127.0.0.1 is this machine only, 0.0.0.0 every IPv4 address.";
}
