using System.IO;
using System.Security.Cryptography;

namespace CivetWeb.Net.Tests;

/// <summary>A folder for Unix domain sockets: its path is short, and has no digit, which with an s or r behind it is a TLS port to CivetWeb.</summary>
internal static class SocketFolder
{
    public static DirectoryInfo Create()
    {
        string name = RandomNumberGenerator.GetString("abcdefghijklmnopqrstuvwxyz", 12);
        return Directory.CreateDirectory(Path.Combine(Path.GetTempPath(), $"cw-{name}"));
    }
}
