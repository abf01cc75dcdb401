namespace CivetWeb.Net.Interop;

/// <summary>What .NET does not tell of a file.</summary>
internal static unsafe class SocketFile
{
    /// <summary>Whether there is a Unix domain socket of that name, no link to one; null when there is nothing.</summary>
    public static bool? IsSocket(string path)
    {
        fixed (byte* p = NativeText.ToBytes(path, nameof(path)))
        {
            int result = CwnMethods.cwn_is_socket(p);
            return result < 0 ? null : result != 0;
        }
    }

    /// <summary>Whether the name leads to a regular file; false for a pipe, whose opening would wait for a writer, and null when there is nothing.</summary>
    public static bool? IsRegular(string path)
    {
        fixed (byte* p = NativeText.ToBytes(path, nameof(path)))
        {
            int result = CwnMethods.cwn_is_file(p);
            return result < 0 ? null : result != 0;
        }
    }
}
